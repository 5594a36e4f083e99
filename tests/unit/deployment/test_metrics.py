from prometheus_client.parser import text_string_to_metric_families

from modules.deployment.server.metrics import Metrics


def test_prometheus_can_read_them():
    metrics = Metrics("tiny", "abc")
    for seconds in (0.0004, 0.02, 20.0):
        metrics.observe_request("POST", "/predict", 200, seconds)
    metrics.observe_request("GET", "/", 404, 0.001)
    metrics.observe_batch(3)
    metrics.observe_batch(64)
    families = {family.name: family for family in text_string_to_metric_families(metrics.text())}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for one in families.values()
        for sample in one.samples
    }
    assert samples["bundle_info", ("model", "tiny"), ("version", "abc")] == 1
    assert samples["http_requests_total", ("method", "POST"), ("route", "/predict"), ("status", "200")] == 3
    buckets = "http_request_duration_seconds_bucket"
    assert samples[buckets, ("le", "0.0005"), ("route", "/predict")] == 1
    assert samples[buckets, ("le", "0.025"), ("route", "/predict")] == 2
    assert samples[buckets, ("le", "+Inf"), ("route", "/predict")] == 3
    assert samples["http_request_duration_seconds_count", ("route", "/predict")] == 3
    assert samples["model_images_total",] == 67
    assert samples["model_batch_images_bucket", ("le", "4")] == 1
    assert samples["process_resident_memory_bytes",] > 1e6
    assert families["http_request_duration_seconds"].type == "histogram"
