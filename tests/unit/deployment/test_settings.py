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
        ("port: many", {}, "port in .* must be a whole number from 0; got 'many'"),
        ("port: -1", {}, "a whole number from 0; got -1"),
        ("port: true", {}, "a whole number"),
        ("a: [", {}, "is no YAML"),
        ("- 1", {}, "lines of KEY: VALUE"),
        ("", {"BUNDLE_THREADS": "few"}, "BUNDLE_THREADS must be a whole number"),
        ("api_key: 17", {}, "api_key in .* must be a text; got a value"),
    ],
)
def test_nonsense_is_refused(tmp_path, text, environment, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(StartError, match=said):
        read_settings(tmp_path, environment)
