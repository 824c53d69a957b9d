"""Where credentials may go."""

import pytest

from darkroom.providers.origins import Origin


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bfl.ai/v1/get_result?id=1",
        "https://api.eu1.bfl.ai/",
        "https://api.bfl.ai:443/x",
        "https://API.BFL.AI/x",
    ],
)
def test_hosts_below_a_domain_are_covered(url: str) -> None:
    assert Origin.read("https://*.bfl.ai").covers(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bfl.ai/",
        "https://bfl.ai/",
        "https://evilbfl.ai/",
        "https://api.bfl.ai.evil.com/",
        "https://api.bfl.ai:8443/",
        "https://api.bfl.ai@evil.com/",
        "https://evil.com/.bfl.ai",
        "https://evil.com#.bfl.ai",
        "https://evil.com?https://api.bfl.ai",
        "ftp://api.bfl.ai/",
        "/v1/get_result",
    ],
)
def test_nothing_else_is(url: str) -> None:
    assert not Origin.read("https://*.bfl.ai").covers(url)


def test_one_origin_covers_itself_alone() -> None:
    origin = Origin.of("https://api.example.com/v1")
    assert origin.covers("https://api.example.com/v2/x")
    assert not origin.covers("https://eu.api.example.com/v1")
    assert not origin.covers("https://api.example.com:8443/v1")


@pytest.mark.parametrize("text", ["https://*.*.ai", "https://*", "*.bfl.ai", "https://", "https://u@a.ai"])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"https://|origin"):
        Origin.read(text)
