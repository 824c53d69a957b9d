"""The schema is complete: what every operation answers, in every case, is declared."""

from typing import Any

import httpx2
import jsonschema_rs
import pytest

from services.app import App

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
REPORT = ("get", "/readyz", "503")


@pytest.fixture
def schema(sqlite_app: App) -> dict[str, Any]:
    answer: dict[str, Any] = httpx2.get(f"{sqlite_app.url}/openapi.json").raise_for_status().json()
    return answer


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, rule) for path, rules in schema["paths"].items() for method, rule in rules.items()]


def test_the_calls_are_those_of_the_design(schema: dict[str, Any]) -> None:
    assert {(method.upper(), path) for method, path, _ in operations(schema)} == {
        ("POST", "/media/generate"), ("GET", "/media/{media_id}"), ("GET", "/media/status/{job_id}"),
        ("GET", "/media/jobs/{job_id}/status"), ("GET", "/media/{media_id}/jobs"), ("GET", "/media/{media_id}/logs"),
        ("GET", "/media/content/{media_id}"), ("GET", "/media/{media_id}/files/{index}"), ("GET", "/media"),
        ("GET", "/media/{media_id}/events"), ("GET", "/media/events"),
        ("POST", "/media/{media_id}/cancel"), ("POST", "/media/{media_id}/retry"), ("DELETE", "/media/{media_id}"),
        ("GET", "/models"), ("GET", "/models/{name}"), ("GET", "/healthz"), ("GET", "/readyz"),
        ("GET", "/metrics"), ("GET", "/lanes"), ("POST", "/lanes/{name}/pause"), ("POST", "/lanes/{name}/resume"),
        ("GET", "/accounts"), ("POST", "/accounts/{name}/reset"), ("GET", "/costs"),
        ("POST", "/hooks/{media_id}/{job_id}"),
        ("POST", "/files"), ("GET", "/files/{file_id}"), ("GET", "/files/{file_id}/content"),
        ("DELETE", "/files/{file_id}"),
        ("GET", "/webhooks/deliveries"), ("GET", "/webhooks/deliveries/{delivery_id}"),
        ("POST", "/webhooks/deliveries/{delivery_id}/resend"),
        ("GET", "/webhooks/secret"), ("POST", "/webhooks/secret/rotate"),
    }  # fmt: skip
    assert schema["openapi"].startswith("3.1")


def test_every_error_is_declared_as_a_problem(schema: dict[str, Any]) -> None:
    for method, path, rule in operations(schema):
        errors = {status: answer for status, answer in rule["responses"].items() if int(status) >= 400}
        assert {"403", "413", "500"} <= errors.keys(), path
        if "{" in path:
            assert {"422" if path.startswith("/hooks") else "404", "422"} <= errors.keys(), path
        if path.startswith("/media"):
            assert {"422", "503"} <= errors.keys(), path
        for status, answer in errors.items():
            assert ("Retry-After" in answer.get("headers", {})) == (status in ("429", "503")), (path, status)
            if (method, path, status) != REPORT:
                assert answer["content"] == PROBLEM, (path, status)


def test_everything_is_described_and_nothing_hangs_in_the_air(schema: dict[str, Any]) -> None:
    ids = [rule["operationId"] for _, _, rule in operations(schema)]
    assert len(ids) == len(set(ids))
    for _, path, rule in operations(schema):
        assert rule["summary"], path
        assert rule["description"], path
        for parameter in rule.get("parameters", ()):
            if parameter["in"] in ("query", "header"):
                assert parameter["description"], (path, parameter["name"])
    names = schema["components"]["schemas"]
    assert not {"HTTPValidationError", "ValidationError"} & names.keys()
    assert set(references(schema)) <= {f"#/components/schemas/{name}" for name in names}


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [found for child in node.values() for found in references(child)]
    return [found for child in node for found in references(child)] if isinstance(node, list) else []


def test_the_examples_suit_their_schemas_and_are_accepted(sqlite_app: App, schema: dict[str, Any]) -> None:
    request = schema["components"]["schemas"]["GenerateRequest"]
    examples = request["examples"]
    assert examples
    for example in examples:
        jsonschema_rs.validate({**request, "components": schema["components"]}, example)
        assert httpx2.post(f"{sqlite_app.url}/media/generate", json=example).status_code == 202


def test_answers_suit_their_schemas(sqlite_app: App, schema: dict[str, Any]) -> None:
    with sqlite_app.client() as client:
        media = client.completed(parameters={"fail_first": 1}, tags=["a"], metadata={"b": "c"})
        for path, template in {
            "/media": "/media",
            f"/media/{media['id']}": "/media/{media_id}",
            f"/media/status/{media['job_id']}": "/media/status/{job_id}",
            f"/media/jobs/{media['job_id']}/status": "/media/jobs/{job_id}/status",
            f"/media/{media['id']}/jobs": "/media/{media_id}/jobs",
            f"/media/{media['id']}/logs": "/media/{media_id}/logs",
            f"/media/content/{media['id']}": "/media/content/{media_id}",
            "/models": "/models",
            "/models/sketch": "/models/{name}",
            "/readyz": "/readyz",
            "/accounts": "/accounts",
            "/costs": "/costs",
        }.items():
            declared = schema["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema_rs.validate({**declared, "components": schema["components"]}, client.get(path).json())
        problem = {**schema["components"]["schemas"]["Problem"], "components": schema["components"]}
        jsonschema_rs.validate(problem, client.get("/media/nothing").json())
