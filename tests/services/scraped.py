"""Metrics, as whoever scrapes them reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape."""

    text: str

    @property
    def samples(self) -> Iterator[Sample]:
        for family in text_string_to_metric_families(self.text):
            yield from family.samples

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with these labels, among others; 0: there is none."""
        return sum(sample.value for sample in self.samples if sample.name == name and _has(sample.labels, labels))

    def labels(self, name: str) -> list[Mapping[str, str]]:
        """The labels of each sample of that name."""
        return [sample.labels for sample in self.samples if sample.name == name]


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def scrape(url: str) -> Scrape:
    """What the service at `url` tells now."""
    response = httpx2.get(f"{url}/metrics", timeout=30).raise_for_status()
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(response.text)
