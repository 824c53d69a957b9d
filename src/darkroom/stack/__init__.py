"""The services that many machines share, as processes of this one: for `darkroom up` and for tests."""
