"""What is live: promoting, rolling back, and serving; MLflow's aliases follow."""

import signal
from functools import partial
from pathlib import Path

from modules.deployment.bundles import find_bundle
from modules.deployment.promotions import Promotion, bundle_of, live_promotion, promote, promotions_path, rollback
from modules.deployment.server.errors import StartError
from modules.deployment.server.settings import read_settings
from modules.deployment.supervisor import Supervisor
from modules.errors import DeploymentError
from modules.tracking.database import file_of
from modules.tracking.sink import MlflowSink, default_uri


def gate(challenger: Path, home: Path, tracking_uri: str | None = None) -> Promotion:
    """Send a challenger's bundle through the gate: what a study, a schedule or a person ends with."""
    promotion = promote(challenger, home)
    _follow(promotion, home, tracking_uri)
    return promotion


def take_back(model: str, home: Path, tracking_uri: str | None = None) -> Promotion:
    """Make live again what was live before."""
    promotion = rollback(model, home)
    _follow(promotion, home, tracking_uri)
    return promotion


def said(promotion: Promotion) -> str:
    """A line of the log in words."""
    reasons = "; ".join(promotion.reasons)
    what = f"{promotion.model} {promotion.version}" if promotion.version else promotion.model
    if promotion.action == "refused":
        stays = f"{promotion.previous} stays live" if promotion.previous else "nothing is live"
        return f"{what} does not go live: {reasons}; {stays}"
    before = f" (before: {promotion.previous})" if promotion.previous else ""
    return f"{what} is live{before}: {reasons}"


def serve(name: str, home: Path, host: str | None, port: int | None) -> None:
    """Serve a bundle, or whatever is live of a model, until a signal comes."""
    is_folder = (Path(name) / "bundle.json").is_file()
    current = partial(find_bundle, name, home) if is_folder else Current(name, home)
    try:
        settings = read_settings(current())
    except StartError as error:
        raise DeploymentError(str(error)) from None
    supervisor = Supervisor(
        current, host or settings.host, settings.port if port is None else port, lambda line: print(line, flush=True)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.end())
    supervisor.run()


class Current:
    """The bundle that is to be served of a model, by its name: what is live; until something is, what was found first.

    What is live is looked up again when a line was added to the promotions. Of a study it is what was found first.
    """

    def __init__(self, name: str, home: Path) -> None:
        self._name = name
        self._home = home
        self._size = -1  # of the promotions when they were read
        self._bundle: Path | None = None

    def __call__(self) -> Path:
        """Its folder; DeploymentError where there is none, or where what is live was altered."""
        path = promotions_path(self._home)
        size = path.stat().st_size if path.exists() else 0
        if self._bundle is None or size != self._size:
            promotion = live_promotion(self._name, self._home)
            if promotion is not None:
                self._bundle = bundle_of(promotion, self._home)
            elif self._bundle is None:
                self._bundle = find_bundle(self._name, self._home)
            self._size = size
        return self._bundle


def _follow(promotion: Promotion, home: Path, uri: str | None) -> None:
    """Point the alias `champion` in MLflow's registry to what is live; where MLflow was never used, there is none."""
    if promotion.version is None or promotion.action == "refused":
        return
    uri = uri or default_uri(home)
    database = file_of(uri)
    if database is not None and not database.exists():
        return
    sink = MlflowSink(uri, home / "artifacts", home)
    sink.point_alias(promotion.model, promotion.version, "champion")
    sink.close()
