import pytest

from modules.deployment.server.errors import StartError
from modules.deployment.server.settings import Settings, read_settings


def test_what_a_bundle_comes_with_are_the_defaults(good):
    assert read_settings(good, {}) == Settings()


def test_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / "config.yaml").write_text("port: 1\nhost: 0.0.0.0\n")
    found = read_settings(tmp_path, {"BUNDLE_PORT": "9000", "BUNDLE_API_KEY": "123", "BUNDLE_LOG_REQUESTS": "false"})
    assert (found.port, found.host, found.api_key, found.log_requests) == (9000, "0.0.0.0", "123", False)


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("prot: 1", {}, "unknown key prot; allowed are host, port"),
        ("port: many", {}, "port in .* must be a whole number from 0 to 65,535; got 'many'"),
        ("port: -1", {}, "a whole number from 0 to 65,535; got -1"),
        ("", {"BUNDLE_PORT": "70000"}, "BUNDLE_PORT must be a whole number from 0 to 65,535; got 70000"),
        ("batch_images: 0", {}, "batch_images in .* must be a whole number from 1 to"),
        ("max_connections: 1", {}, "max_connections in .* must be a whole number from 2 to"),
        ("request_seconds: 0", {}, "request_seconds in .* must be a number from 0.1 to 86,400; got 0"),
        ("request_seconds: .nan", {}, "must be a number from 0.1 to 86,400; got nan"),
        ("port: true", {}, "a whole number"),
        ("a: [", {}, "is no YAML"),
        ("- 1", {}, "lines of KEY: VALUE"),
        ("", {"BUNDLE_THREADS": "few"}, "BUNDLE_THREADS must be a whole number"),
        ("", {"BUNDLE_THREADS": "["}, r"BUNDLE_THREADS must be a whole number from 0 to 1,024; got '\['"),
        ("api_key: 17", {}, "api_key in .* must be a text; got a value"),
    ],
)
def test_nonsense_is_refused(tmp_path, text, environment, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(StartError, match=said):
        read_settings(tmp_path, environment)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"host: \xff")
    with pytest.raises(StartError, match="is no YAML; allowed are lines of KEY: VALUE"):
        read_settings(tmp_path, {})


def test_whole_seconds_are_seconds(tmp_path):
    (tmp_path / "config.yaml").write_text("drain_seconds: 0\n")
    found = read_settings(tmp_path, {"BUNDLE_REQUEST_SECONDS": "7"})
    assert (found.drain_seconds, found.request_seconds) == (0.0, 7.0)
