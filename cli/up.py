"""`placelibre up`: the bus, the services and, if wanted, a simulated day, as one tree of processes on one machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.panel import Panel
from rich.text import Text

from cli.applying import carry_out, plan
from cli.bus_access import BusAddress, operator_bus
from cli.bus_server import BusServer, BusServerFailed, MqttListener, is_listening, tail
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble
from cli.children import Children, Program, this_command
from cli.data_folder import DATA, Addresses, DataFolder, DataOption, sha256_of_secret
from cli.mqtt_users import MqttUsers, listener_users
from cli.probe import what_is_missing
from cli.terminal import OUT, Trouble, command_app, examples, say, warn
from services.publisher import channels
from shared.contracts.configuration import LibraryConfig
from shared.domain.library import ClockKind
from shared.runtime.bus import BusFull, BusUnavailable, Conflict
from shared.runtime.provision import ProvisioningFailed, provision
from shared.runtime.settings import inherited_environment

app = command_app()

HOST: Final = "127.0.0.1"
BUS_READY_S: Final = 30.0
"""A bus reads its streams' files before it listens; a year of history takes seconds."""
SERVICES_READY_S: Final = 120.0
"""An aggregator that was away long reads the log first; later than this `doctor` has more to say than waiting."""
PROVISION_S: Final = 60.0
MQTT_PORT: Final = 1883
"""MQTT's own; it is opened only if something is to publish there."""
STAGE_BUS, STAGE_SERVICES, STAGE_SENDERS = range(3)
"""The bus stops last, and what sends stops first."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, by the name of the option that chooses it."""

    port: int
    ingest_port: int
    aggregator_port: int
    publisher_port: int
    nats_port: int
    nats_monitor_port: int

    def of_service(self, name: str) -> int:
        """Return the port of a service."""
        port: int = self.port if name == "api" else getattr(self, f"{name}_port")
        return port


@app.command(
    epilog=examples(
        "placelibre up",
        "placelibre up --config libraries.toml --data /var/lib/placelibre",
        "placelibre up --port 8080 --nats-port 4333",
    )
)
def up(
    *,
    config: Annotated[Path, typer.Option(help="The libraries.")] = LIBRARIES_FILE,
    data: DataOption = DATA,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page and the API.")] = 8000,
    ingest_port: Annotated[int, typer.Option(min=1, max=65535, help="Where readings are sent.")] = 8001,
    aggregator_port: Annotated[int, typer.Option(min=1, max=65535, help="Of its health and metrics.")] = 8002,
    publisher_port: Annotated[int, typer.Option(min=1, max=65535, help="Of its health and metrics.")] = 8003,
    nats_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the bus.")] = 4222,
    nats_monitor_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the bus's own figures.")] = 8222,
    mqtt_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"Where devices publish by MQTT; left out: {MQTT_PORT}, if a library has a source of type listener.",
        ),
    ] = None,
    mqtt_host: Annotated[
        str, typer.Option(help="Where devices reach it: this machine's address in their network, or 0.0.0.0.")
    ] = HOST,
    mqtt_certificate: Annotated[
        Path | None, typer.Option(help="A certificate chain, in PEM: devices publish by TLS, and not without.")
    ] = None,
    mqtt_key: Annotated[Path | None, typer.Option(help="The certificate's private key.")] = None,
    simulate: Annotated[
        bool | None,
        typer.Option("--simulate/--no-simulate", help="Play simulated days; left out: if a library has such a clock."),
    ] = None,
    speed: Annotated[float, typer.Option(min=1, max=3600, help="Simulated seconds per second.")] = 60,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log at debug level, and say what starts.")] = False,
) -> None:
    """Run all of Placelibre on this machine.

    The bus, the services and the page; what crashes is started again. Ctrl-C stops everything; the data is kept for the
    next time. Everything listens on this machine only, unless --mqtt-host lets devices in from elsewhere.
    """
    libraries = good_libraries_or_trouble(config).libraries
    if simulate:
        _refuse_nothing_to_simulate(libraries, config)
    is_simulated = simulate is not False and _has_simulated(libraries)
    ports = Ports(port, ingest_port, aggregator_port, publisher_port, nats_port, nats_monitor_port)
    folder = DataFolder(data.absolute())
    mqtt = _mqtt_listener(mqtt_host, mqtt_port or MQTT_PORT, mqtt_certificate, mqtt_key)
    is_mqtt_wanted = mqtt_port is not None or bool(listener_users(libraries))
    with folder.held():
        _refuse_taken_ports(ports)
        if is_mqtt_wanted:
            _refuse_taken_port(mqtt.host, mqtt.port, "--mqtt-port")
        house = _House(folder, ports, mqtt, is_mqtt_wanted=is_mqtt_wanted, is_verbose=verbose)
        with house.stopped_at_the_end():
            house.start(libraries)
            house.wait_until_ready()
            if is_simulated:
                house.start_simulation(config.absolute(), speed)
            house.run(is_simulated=is_simulated)


class _House:
    """One `up`: what it starts, in which order, and with which environment."""

    def __init__(
        self, folder: DataFolder, ports: Ports, mqtt: MqttListener, *, is_mqtt_wanted: bool, is_verbose: bool
    ) -> None:
        self._folder = folder
        self._ports = ports
        self._is_verbose = is_verbose
        self._children = Children(say=_tell, hear=_hear)
        self._bus = BusServer(
            folder.bus_home, ports.nats_port, ports.nats_monitor_port, mqtt=mqtt if is_mqtt_wanted else None
        )
        operator = BusAddress(self._bus.url, folder.seed_file("operator"))
        self._mqtt_users = MqttUsers(self._bus, operator, mqtt, _tell)
        self._addresses = Addresses(
            pid=os.getpid(),
            nats=self._bus.url,
            **{name: f"http://{HOST}:{ports.of_service(name)}" for name in _SERVICES},
        )

    @contextmanager
    def stopped_at_the_end(self) -> Iterator[None]:
        """Take signals as requests to stop, and leave no child behind, whatever ends the rest."""
        self._children.listen_for_signals()
        try:
            yield
        finally:
            if self._children.children:
                _tell("stopping; Ctrl-C again to stop at once")
                self._show_devices_out()
                self._children.stop()
                _tell("stopped; the data is kept")

    def start(self, libraries: tuple[LibraryConfig, ...]) -> None:
        """Start the bus, bring it to what the contracts and the configuration say, then start the services."""
        self._start_bus()
        if self._children.is_stopping:
            return
        asyncio.run(self._prepare_bus(libraries))
        for name in _SERVICES:
            self._children.add(self._service(name))
        self._folder.write_addresses(self._addresses)

    def start_simulation(self, config: Path, speed: float) -> None:
        """Play simulated days through the front door, for ever."""
        command = this_command(
            *("simulate", "--to", self._addresses.ingest, "--api", self._addresses.api),
            *("--key-file", str(self._folder.simulation_key_file), "--config", str(config), "--speed", str(speed)),
        )
        environment = inherited_environment()
        log_file = self._folder.log_file("simulation")
        self._children.add(Program("simulation", command, environment, log_file, STAGE_SENDERS))

    def wait_until_ready(self) -> None:
        """Wait for the services; say of those that take too long what they wait for."""
        waiting = dict.fromkeys(self._addresses.of_services(), "has not answered yet")
        if not self._children.tick_until(lambda: self._are_ready(waiting), SERVICES_READY_S):
            for name, reason in waiting.items():
                _tell(f"{name} is not ready: {reason}; see {self._folder.log_file(name)}")

    def run(self, *, is_simulated: bool) -> None:
        """Say where to look, and look after the children until a stop is asked for."""
        if not self._children.is_stopping:
            _show_where(self._addresses, self._folder, is_simulated=is_simulated)
        while not self._children.is_stopping:
            self._children.tick()
            self._look_after_mqtt()

    def _show_devices_out(self) -> None:
        """Take nothing more by MQTT: what came now would wait in a memory that ends with the bus."""
        if self._mqtt_users.bus.mqtt is not None:
            with suppress(OSError):
                self._mqtt_users.shut()
                self._children.send_signal("bus", signal.SIGHUP)

    def _look_after_mqtt(self) -> None:
        child = self._children.children["bus"]
        if child.is_running:
            self._mqtt_users.look(
                child.starts,
                reload=lambda: self._children.send_signal("bus", signal.SIGHUP),
                restart=lambda: self._children.send_signal("bus", signal.SIGTERM),
            )

    def _start_bus(self) -> None:
        log_file = self._folder.log_file("bus")
        try:
            self._mqtt_users.shut()
            program = Program(
                *("bus", self._bus.command, inherited_environment(), log_file, STAGE_BUS),
                before_start=self._mqtt_users.shut,
            )
        except (BusServerFailed, OSError) as error:
            raise Trouble(f"the bus cannot be started: {error}", f"see {log_file}") from error
        self._children.add(program)
        child = self._children.children["bus"]
        is_up = self._children.tick_until(
            lambda: child.starts > 1 or is_listening(HOST, self._ports.nats_port), BUS_READY_S
        )
        if (not is_up or child.starts > 1) and not self._children.is_stopping:
            raise Trouble(f"the bus does not start; its last words:\n{tail(log_file)}", f"see {log_file}")

    async def _prepare_bus(self, libraries: tuple[LibraryConfig, ...]) -> None:
        address = BusAddress(self._bus.url, self._folder.seed_file("operator"))
        try:
            async with asyncio.timeout(PROVISION_S), operator_bus(address) as bus:
                made = await provision(bus)
                changes = await plan(bus, libraries, is_pruned=False)
                await carry_out(bus, changes)
        except ProvisioningFailed as error:
            remedy = f"if the folder is of an older version, start with another --data; see {self._folder.path}"
            raise Trouble(f"the bus's streams cannot be made: {error}", remedy) from error
        except BusFull as error:
            remedy = "make room on the disk, or start with another --data"
            raise Trouble(f"the bus is full: {error}", remedy) from error
        except (BusUnavailable, Conflict, TimeoutError) as error:
            raise Trouble(f"the bus does not answer: {error}", f"see {self._folder.log_file('bus')}") from error
        for library in libraries:
            self._warn_of_missing_tokens(library)
        for change in changes:
            if change.action == "kept":
                warn(f"{change.library} is not in the file; it is kept until `placelibre apply --prune`")
        if self._is_verbose:
            say(f"streams: {', '.join(f'{each.name} {each.action}' for each in made)}")
            say(f"libraries: {', '.join(f'{each.library} {each.action}' for each in changes)}")

    def _warn_of_missing_tokens(self, library: LibraryConfig) -> None:
        folder = Path(inherited_environment().get("PLACELIBRE_SECRETS_DIR", str(self._folder.secrets)))
        for channel in library.channels:
            file = folder / f"{channel.type}-{channel.account}"
            if channels.type_of(channel.type).credentials and channel.account and not file.exists():
                warn(f"{library.id}: the channel {channel.type} is off until its credentials are in {file}")

    def _service(self, name: str) -> Program:
        usual = {"PLACELIBRE_SECRETS_DIR": str(self._folder.secrets)}
        environment = (
            usual
            | inherited_environment()
            | {
                "PLACELIBRE_NATS_URL": self._bus.url,
                "PLACELIBRE_NATS_SEED_FILE": str(self._folder.seed_file(name)),
                "PLACELIBRE_HOST": HOST,
                "PLACELIBRE_PORT": str(self._ports.of_service(name)),
                "PLACELIBRE_LOG_FORMAT": "json",
                "PYTHONUNBUFFERED": "1",  # a post is on the terminal when it is made
            }
        )
        if self._is_verbose:
            environment["PLACELIBRE_LOG_LEVEL"] = "debug"
        if name == "ingest":
            environment["PLACELIBRE_SIMULATION_KEY_SHA256"] = sha256_of_secret(self._folder.simulation_key())
        log_file = self._folder.log_file(name)
        is_heard = name == "publisher"
        return Program(name, this_command("run", name), environment, log_file, STAGE_SERVICES, is_heard=is_heard)

    def _are_ready(self, waiting: dict[str, str]) -> bool:
        for name in tuple(waiting):
            reason = what_is_missing(self._addresses.of_services()[name])
            if reason is None:
                del waiting[name]
                if self._is_verbose:
                    say(f"{name}: ready")
            else:
                waiting[name] = reason
        return not waiting


_SERVICES: Final = ("ingest", "aggregator", "publisher", "api")


def _tell(text: str) -> None:
    # A terminal that is gone must not keep the children from an orderly end.
    with suppress(OSError):
        warn(f"placelibre: {text}", style=None)


def _hear(text: str) -> None:
    with suppress(OSError):
        say(text)


def _mqtt_listener(host: str, port: int, certificate: Path | None, key: Path | None) -> MqttListener:
    if (certificate is None) != (key is None):
        raise Trouble(
            "a certificate needs its key, and a key its certificate", "give both --mqtt-certificate, --mqtt-key"
        )
    for each in (certificate, key):
        if each is not None and not each.is_file():
            raise Trouble(f"there is no file {each}", "give --mqtt-certificate and --mqtt-key the files in PEM")
    if certificate is None or key is None:
        if host not in {HOST, "localhost", "::1"}:
            warn("without --mqtt-certificate whoever listens in on the network reads the passwords of MQTT devices")
        return MqttListener(port, host)
    return MqttListener(port, host, certificate.absolute(), key.absolute())


def _refuse_taken_ports(ports: Ports) -> None:
    chosen: dict[int, str] = {}
    for name in Ports.__slots__:
        option = f"--{name.replace('_', '-')}"
        port = getattr(ports, name)
        if port in chosen:
            raise Trouble(f"{chosen[port]} and {option} are both {port}", "give each a port of its own")
        chosen[port] = option
        _refuse_taken_port(HOST, port, option)


def _refuse_taken_port(host: str, port: int, option: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = f"stop whatever listens there, or choose another with {option}"
            raise Trouble(f"port {port} ({option}) is taken: {error.strerror}", remedy) from error


def _refuse_nothing_to_simulate(libraries: tuple[LibraryConfig, ...], config: Path) -> None:
    if not _has_simulated(libraries):
        raise Trouble(
            f'no library of {config} is simulated (clock = "simulated"): there is nothing to play',
            "leave --simulate out, or take the example libraries.toml",
        )


def _has_simulated(libraries: tuple[LibraryConfig, ...]) -> bool:
    return any(library.clock is ClockKind.SIMULATED for library in libraries)


def _show_where(addresses: Addresses, folder: DataFolder, *, is_simulated: bool) -> None:
    """Print what to do now. Lines to copy stand outside the panel, which would break them."""
    lines = [
        f"page      {addresses.api}/",
        f"API       {addresses.api}/v1/libraries",
        f"readings  {addresses.ingest}/v1/readings",
        f"logs      {folder.logs}/",
        "posts     appear below",
        "stop      Ctrl-C; the data is kept",
    ]
    if is_simulated:
        lines.append("Simulated days are running: what is marked as simulated is not real.")
    OUT.print(Panel(Text("\n".join(lines), overflow="fold"), title="Placelibre is running", expand=False))
    say("For a library of your own: add it to libraries.toml, run `placelibre keys new LIBRARY --device tablet --role")
    say("staff --write libraries.toml` and `placelibre apply`, then send its first reading, how many are inside:")
    say(
        f"  curl -i {addresses.ingest}/v1/readings -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json'"
        """ -d '{"kind": "head_count", "library": "LIBRARY", "people": 42}'\n"""
    )
