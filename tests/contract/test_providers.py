"""The built-in providers keep the contract."""

from provider_suite import ProviderContract

from darkroom.providers import registry
from darkroom.providers.base import Provider


class TestDummy(ProviderContract):
    model = "dummy"
    slow_parameters = {"delay": 60}
    resumable_parameters = {"resumable": True}

    def make(self) -> Provider:
        return registry.load("dummy")()


class TestDummyInSteps(TestDummy):
    parameters = {"delay": 0.01, "steps": 5, "width": 40, "height": 30}
    slow_parameters = {"delay": 60, "steps": 1000}


class TestDummyThatHangs(TestDummy):
    slow_parameters = {"error_rate": 1, "error": "hang"}


class TestSketch(ProviderContract):
    model = "sketch"
    parameters = {"width": 64, "height": 64}
    slow_parameters = {"width": 1024, "height": 1024}

    def make(self) -> Provider:
        return registry.load("sketch")()
