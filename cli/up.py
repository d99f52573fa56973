"""`placelibre up`: the bus, the services and, if wanted, a simulated day, as one tree of processes on one machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.panel import Panel
from rich.text import Text

from cli.applying import carry_out, plan
from cli.bus_access import BusAddress, operator_bus
from cli.bus_server import BusServer, BusServerFailed, MqttListener, is_listening, nats_server, tail
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble
from cli.children import Children, Program, this_command
from cli.data_folder import DATA, NOT_IN_A_DRILL, Addresses, DataFolder, DataOption, sha256_of_secret
from cli.leaf_bus import LEAF_PORT, LeafGate, LeafListener, LeafRemote, Register, host_and_port, read_key
from cli.mqtt_users import MqttUsers, listener_users
from cli.operator_audit import note_provisioned
from cli.probe import UNVERIFIED, what_is_missing
from cli.provisioning import tell_left
from cli.service_manager import ServiceManager
from cli.terminal import OUT, Trouble, command_app, examples, say, warn
from services.publisher import channels
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.domain.library import ClockKind
from shared.runtime.bus import BusFull, BusUnavailable, Conflict
from shared.runtime.clock import now
from shared.runtime.https import OwnCertificate, UnusableCertificate
from shared.runtime.provision import ProvisioningFailed, provision
from shared.runtime.provision_leaf import provision_leaf
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
PAST_DAYS: Final = 42
"""Days before today that simulated libraries get in the background: statistics and a usual day need a past. It takes
a minute or two of one processor, the latest days first, and nothing once it is there."""
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
    carrier_port: int
    gate_port: int
    auditor_port: int
    ingest_host: str = HOST
    """Where devices reach ingest; everything else is reached from this machine only."""
    ingest_certificate: OwnCertificate | None = None
    """What it shows there; None for plain HTTP."""

    def host_of(self, name: str) -> str:
        """Return the address on which a service listens."""
        return self.ingest_host if name == "ingest" else HOST

    def of_service(self, name: str) -> int:
        """Return the port of a service."""
        port: int = self.port if name == "api" else getattr(self, f"{name}_port")
        return port


FOR_LEAVES: Final = ("carrier_port", "gate_port")
ALWAYS_TAKEN: Final = tuple(name for name in Ports.__slots__ if name.endswith("port") and name not in FOR_LEAVES)
LOOPBACK: Final = frozenset({HOST, "localhost", "::1"})
EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104


@app.command(
    epilog=examples(
        "placelibre up",
        "placelibre up --config libraries.toml --data /var/lib/placelibre",
        "placelibre up --port 8080 --nats-port 4333",
        "placelibre up --ingest-host 0.0.0.0 --ingest-certificate chain.pem --ingest-key key.pem",
        "placelibre up --leaf-key east.leaf",
        "placelibre up --data /tmp/drill --drill",
    )
)
def up(
    context: typer.Context,
    *,
    config: Annotated[Path, typer.Option(help="The libraries.")] = LIBRARIES_FILE,
    data: DataOption = DATA,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page and the API.")] = 8000,
    ingest_port: Annotated[int, typer.Option(min=1, max=65535, help="Where readings are sent.")] = 8001,
    aggregator_port: Annotated[int, typer.Option(min=1, max=65535, help="Of its health and metrics.")] = 8002,
    publisher_port: Annotated[int, typer.Option(min=1, max=65535, help="Of its health and metrics.")] = 8003,
    nats_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the bus.")] = 4222,
    nats_monitor_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the bus's own figures.")] = 8222,
    carrier_port: Annotated[int, typer.Option(min=1, max=65535, help="Of its health and metrics.")] = 8004,
    gate_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of the gate for branches, on this machine, for the carrier.")
    ] = 4223,
    auditor_port: Annotated[int, typer.Option(min=1, max=65535, help="Of its health and metrics.")] = 8005,
    leaf_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help=f"Where branches with a bus of their own connect; {LEAF_PORT} once there is one."
        ),
    ] = None,
    leaf_host: Annotated[str, typer.Option(help="On which of this machine's addresses.")] = "0.0.0.0",  # noqa: S104
    leaf_of: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Run a branch of the centre at this address; its key knows one.")
    ] = "",
    leaf_key: Annotated[
        Path | None, typer.Option(help="The branch's key, a file that `placelibre leaf new` writes at the centre.")
    ] = None,
    ingest_host: Annotated[
        str, typer.Option(help="Where devices reach ingest: this machine's address in their network, or 0.0.0.0.")
    ] = HOST,
    ingest_certificate: Annotated[
        Path | None,
        typer.Option(
            help="A certificate chain, in PEM: readings are sent by HTTPS, and not without. Renewed, it is"
            " taken within seconds."
        ),
    ] = None,
    ingest_key: Annotated[Path | None, typer.Option(help="The certificate's private key.")] = None,
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
    drill: Annotated[
        bool,
        typer.Option(
            "--drill",
            help="Look at a backup that was put back: neither ingest nor the publisher runs, nothing is fetched, and"
            " nothing leaves. The libraries are those of the backup; ports that are not given are free ones.",
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log at debug level, and say what starts.")] = False,
) -> None:
    """Run all of Placelibre on this machine.

    The bus, the services and the page; what crashes is started again. Ctrl-C stops everything; the data is kept for the
    next time. Everything listens on this machine only, unless --ingest-host or --mqtt-host let devices in from
    elsewhere, or a branch has been added with `placelibre leaf new`.

    With --leaf-key it is a branch that runs: a bus and ingest, which keep what is counted while the line is down.
    """
    ports = Ports(
        *(port, ingest_port, aggregator_port, publisher_port, nats_port, nats_monitor_port, carrier_port, gate_port),
        auditor_port,
        ingest_host,
        _ingest_certificate(ingest_host, ingest_certificate, ingest_key),
    )
    folder = DataFolder(data.absolute())
    if drill:
        _refuse_what_a_drill_has_not(context)
        _run_drill(folder, _with_free_ports(context, ports), is_verbose=verbose)
        return
    mqtt = _mqtt_listener(mqtt_host, mqtt_port or MQTT_PORT, mqtt_certificate, mqtt_key)
    if leaf_of or leaf_key is not None:
        centre = _centre(leaf_of, leaf_key)
        _refuse_what_a_branch_has_not(context)
        _run_branch(folder, ports, centre, mqtt, is_mqtt_wanted=mqtt_port is not None, is_verbose=verbose)
        return
    libraries = good_libraries_or_trouble(config).libraries
    if simulate:
        _refuse_nothing_to_simulate(libraries, config)
    is_simulated = simulate is not False and _has_simulated(libraries)
    is_mqtt_wanted = mqtt_port is not None or bool(listener_users(libraries))
    leaves = LeafListener(leaf_port or LEAF_PORT, leaf_host)
    with folder.held():
        gate = LeafGate(Register(folder.bus_home), leaves, gate_port)
        is_leaf_wanted = leaf_port is not None or bool(gate.register.read().leaves)
        _refuse_taken_ports(ports, *(FOR_LEAVES if is_leaf_wanted else ()))
        if is_mqtt_wanted:
            _refuse_taken_port(mqtt.host, mqtt.port, "--mqtt-port")
        if is_leaf_wanted:
            _refuse_taken_port(leaves.host, leaves.port, "--leaf-port")
        bus = BusServer(
            *(folder.bus_home, nats_port, nats_monitor_port),
            mqtt=mqtt if is_mqtt_wanted else None,
        )
        house = _House(folder, ports, bus, mqtt, gate, is_open_to_leaves=is_leaf_wanted, is_verbose=verbose)
        with house.stopped_at_the_end():
            house.start(libraries)
            house.wait_until_ready()
            if is_simulated:
                house.start_simulation(config.absolute(), speed)
            house.run(is_simulated=is_simulated)


class _House:
    """One `up`: what it starts, in which order, and with which environment."""

    def __init__(
        self,
        folder: DataFolder,
        ports: Ports,
        bus: BusServer,
        mqtt: MqttListener,
        gate: LeafGate | None = None,
        *,
        is_open_to_leaves: bool = False,
        is_drill: bool = False,
        is_verbose: bool,
    ) -> None:
        self._folder = folder
        self._ports = ports
        self._is_drill = is_drill
        self._is_verbose = is_verbose
        self._children = Children(say=_tell, hear=_hear)
        self._service_manager = ServiceManager.of(inherited_environment())
        self._bus = bus
        self._is_branch = bus.centre is not None
        operator = BusAddress(self._bus.url, folder.seed_file("operator"))
        make = provision_leaf if self._is_branch else provision
        self._mqtt_users = MqttUsers(self._bus, operator, mqtt, _tell, make)
        self._gate = gate
        """To be opened once there is a leaf; None at a branch."""
        self._is_open_to_leaves = is_open_to_leaves
        self._leaves_seen = (0, frozenset[str]()) if gate is None else _seen(gate.register)
        self._addresses = Addresses(
            pid=os.getpid(),
            nats=self._bus.url,
            monitor=f"http://{HOST}:{ports.nats_monitor_port}",
            leaf=bus.centre.key.leaf if bus.centre else "",
            is_drill=is_drill,
            ingest_certificate=str(ports.ingest_certificate.certificate) if ports.ingest_certificate else "",
            **{name: self._address_of(name) for name in self._services},
        )

    @property
    def _services(self) -> tuple[str, ...]:
        if self._is_branch:
            return ("ingest",)
        if self._is_drill:
            return tuple(name for name in _SERVICES if name not in NOT_IN_A_DRILL)
        return (*_SERVICES, "carrier") if self._is_open_to_leaves else _SERVICES

    def _address_of(self, service: str) -> str:
        host = self._ports.host_of(service)
        scheme = "https" if service == "ingest" and self._ports.ingest_certificate is not None else "http"
        return f"{scheme}://{HOST if host in EVERYWHERE else host}:{self._ports.of_service(service)}"

    @contextmanager
    def stopped_at_the_end(self) -> Iterator[None]:
        """Take signals as requests to stop, and leave no child behind, whatever ends the rest."""
        self._children.listen_for_signals()
        try:
            yield
        finally:
            self._service_manager.stopping()
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
        if self._is_open_to_leaves:
            self._start_gate()
        for name in self._services:
            self._children.add(self._service(name))
        self._folder.write_addresses(self._addresses)

    def start_simulation(self, config: Path, speed: float) -> None:
        """Play simulated days through the front door, for ever."""
        command = this_command(
            *("simulate", "--to", self._addresses.ingest, "--api", self._addresses.api),
            *("--key-file", str(self._folder.simulation_key_file), "--config", str(config), "--speed", str(speed)),
            *("--past", str(PAST_DAYS), "--nats-url", self._bus.url),
            *("--seed-file", str(self._folder.seed_file("operator"))),
            *(("--to-certificate", shown) if (shown := self._addresses.ingest_certificate) else ()),
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
            if self._is_branch:
                _show_branch(self._addresses, self._folder)
            elif self._is_drill:
                _show_drill(self._addresses, self._folder)
            else:
                _show_where(self._addresses, self._folder, is_simulated=is_simulated)
            self._service_manager.ready(f"the page is on {self._addresses.api or self._addresses.ingest}")
        while not self._children.is_stopping:
            self._children.tick()
            self._service_manager.beat()
            self._look_after_mqtt()
            self._look_after_leaves()

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

    def _look_after_leaves(self) -> None:
        """Let in a leaf that `placelibre leaf` has added, and put out one that it has removed."""
        gate = self._gate
        if gate is None or gate.register.changed_at_ns() == self._leaves_seen[0]:
            return
        before = self._leaves_seen[1]
        try:
            self._leaves_seen = _seen(gate.register)
            names = [each.name for each in gate.register.read().leaves]
            if self._is_open_to_leaves:
                gate.prepare()
                # A reload lets new ones in, but leaves those that are gone connected; only a new start ends that.
                is_one_gone = bool(before - self._leaves_seen[1])
                self._children.send_signal("leaf-gate", signal.SIGTERM if is_one_gone else signal.SIGHUP)
            elif names:
                self._open_to_leaves(gate)
        except (Trouble, BusServerFailed, OSError) as error:
            self._leaves_seen = (gate.register.changed_at_ns(), before)
            _tell(f"the leaves stay as they were: {error}")
            return
        _tell(f"leaves that may connect: {', '.join(names) or 'none'}")

    def _open_to_leaves(self, gate: LeafGate) -> None:
        _refuse_taken_port(gate.listener.host, gate.listener.port, "--leaf-port")
        _refuse_taken_port(HOST, gate.port, "--gate-port")
        _refuse_taken_port(HOST, self._ports.carrier_port, "--carrier-port")
        self._start_gate()
        self._children.add(self._service("carrier"))
        self._is_open_to_leaves = True
        self._addresses = self._addresses.model_copy(update={"carrier": self._address_of("carrier")})
        self._folder.write_addresses(self._addresses)

    def _start_gate(self) -> None:
        gate = self._gate
        assert gate is not None
        try:
            gate.prepare()
            command = nats_server(gate.configuration)
        except (BusServerFailed, OSError) as error:
            raise Trouble(f"the gate for branches cannot be started: {error}", "see its log") from error
        log_file = self._folder.log_file("leaf-gate")
        self._children.add(Program("leaf-gate", command, inherited_environment(), log_file, STAGE_BUS))

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
                if self._is_branch:
                    await provision_leaf(bus)
                    if not await bus.bucket(subjects.LIBRARIES).keys():
                        _tell("the centre has not sent the configuration yet; until it has, nobody's key is known here")
                    return
                made = await provision(bus)
                await note_provisioned(bus, made)
                tell_left(made)
                if self._is_drill:
                    if not await bus.bucket(subjects.LIBRARIES).keys():
                        _tell(f"no library is configured in {self._folder.path}: was a backup put back there?")
                    return
                changes = await plan(bus, libraries, is_pruned=False)
                await carry_out(bus, changes)
        except ProvisioningFailed as error:
            remedy = f"if the folder is of an older version, start with another --data; see {self._folder.path}"
            raise Trouble(f"the bus's streams cannot be made: {error}", error.remedy or remedy) from error
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
        usual = {
            "PLACELIBRE_SECRETS_DIR": str(self._folder.secrets),
            "PLACELIBRE_EXPORT_DIR": str(self._folder.exports),
        }
        environment = (
            usual
            | inherited_environment()
            | {
                "PLACELIBRE_NATS_URL": self._bus.url,
                "PLACELIBRE_NATS_SEED_FILE": str(self._folder.seed_file(name)),
                "PLACELIBRE_HOST": self._ports.host_of(name),
                "PLACELIBRE_PORT": str(self._ports.of_service(name)),
                "PLACELIBRE_LOG_FORMAT": "json",
                "PYTHONUNBUFFERED": "1",  # a post is on the terminal when it is made
            }
        )
        if self._is_drill:
            # Exports of a drill must not push real ones out of their folder, nor its traces mix with real ones.
            environment |= {"PLACELIBRE_EXPORT_DIR": str(self._folder.exports), "PLACELIBRE_OTLP_ENDPOINT": ""}
        if self._is_verbose:
            environment["PLACELIBRE_LOG_LEVEL"] = "debug"
        if name == "carrier" and self._gate is not None:
            environment["PLACELIBRE_LEAVES_FILE"] = str(self._gate.register.file)
            environment["PLACELIBRE_GATE_URL"] = self._gate.url
            environment["PLACELIBRE_GATE_SEED_FILE"] = str(self._gate.seed_file)
        if self._bus.centre is not None:
            environment["PLACELIBRE_LEAF"] = self._bus.centre.key.leaf
        if name == "ingest" and not self._is_branch:
            environment["PLACELIBRE_SIMULATION_KEY_SHA256"] = sha256_of_secret(self._folder.simulation_key())
        certificate = self._ports.ingest_certificate if name == "ingest" else None
        if certificate is not None:
            environment["PLACELIBRE_CERTIFICATE_FILE"] = str(certificate.certificate)
            environment["PLACELIBRE_KEY_FILE"] = str(certificate.key)
        log_file = self._folder.log_file(name)
        is_heard = name == "publisher"
        host = self._ports.host_of(name)
        return Program(
            *(name, this_command("run", name), environment, log_file, STAGE_SERVICES),
            is_heard=is_heard,
            answers_at=(HOST if host in EVERYWHERE else host, self._ports.of_service(name)),
            is_answering_by_tls=certificate is not None,
        )

    def _are_ready(self, waiting: dict[str, str]) -> bool:
        for name in tuple(waiting):
            reason = what_is_missing(self._addresses.of_services()[name], UNVERIFIED)
            if reason is None:
                del waiting[name]
                if self._is_verbose:
                    say(f"{name}: ready")
            else:
                waiting[name] = reason
        return not waiting


_SERVICES: Final = ("ingest", "aggregator", "publisher", "api", "auditor")


def _tell(text: str) -> None:
    # A terminal that is gone must not keep the children from an orderly end.
    with suppress(OSError):
        warn(f"placelibre: {text}", style=None)


def _hear(text: str) -> None:
    with suppress(OSError):
        say(text)


def _ingest_certificate(host: str, certificate: Path | None, key: Path | None) -> OwnCertificate | None:
    pair = _pair("--ingest-certificate", certificate, "--ingest-key", key)
    if pair is None:
        if host not in LOOPBACK:
            warn(
                "ingest takes readings from the network now, without TLS: secret addresses and keys can be read on the"
                " way; --ingest-certificate and --ingest-key end that"
            )
        return None
    try:
        made = OwnCertificate(*pair, "ingest")
    except UnusableCertificate as error:
        remedy = "give --ingest-certificate the chain and --ingest-key its key, both in PEM"
        raise Trouble(str(error), remedy) from error
    if made.until <= now():
        warn(
            f"the certificate {made.certificate} has expired on {made.until.date()}: devices that look at it send"
            " nothing; put the renewed one and its key into the same files, ingest takes them within seconds"
        )
    return made


def _pair(
    certificate_option: str, certificate: Path | None, key_option: str, key: Path | None
) -> tuple[Path, Path] | None:
    """Return a certificate's file and its key's, None for neither. Raises Trouble if there is only one, or no file."""
    if (certificate is None) != (key is None):
        raise Trouble(
            "a certificate needs its key, and a key its certificate", f"give both {certificate_option}, {key_option}"
        )
    for each in (certificate, key):
        if each is not None and not each.is_file():
            raise Trouble(f"there is no file {each}", f"give {certificate_option} and {key_option} the files in PEM")
    return None if certificate is None or key is None else (certificate.absolute(), key.absolute())


def _mqtt_listener(host: str, port: int, certificate: Path | None, key: Path | None) -> MqttListener:
    pair = _pair("--mqtt-certificate", certificate, "--mqtt-key", key)
    if pair is None:
        if host not in LOOPBACK:
            warn("without --mqtt-certificate whoever listens in on the network reads the passwords of MQTT devices")
        return MqttListener(port, host)
    return MqttListener(port, host, *pair)


def _seen(register: Register) -> tuple[int, frozenset[str]]:
    """Return what tells a register from what it was: when it was written, and the keys in it. Raises Trouble."""
    return register.changed_at_ns(), frozenset(each.nkey for each in register.read().leaves)


def _centre(address: str, key_file: Path | None) -> LeafRemote:
    if key_file is None:
        raise Trouble("a branch needs its key", "make one at the centre with `placelibre leaf new`, give --leaf-key")
    key = read_key(key_file)
    if key_file.stat().st_mode & 0o077:
        warn(f"others on this machine can read {key_file}: chmod 600 {key_file}")
    host, port = host_and_port(address or key.address)
    return LeafRemote(key, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _given(context: typer.Context) -> set[str]:
    """Return the names of the options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _refuse_what_a_branch_has_not(context: typer.Context) -> None:
    """Refuse what would not be done at a branch; say of what is merely without use that it is."""
    given = _given(context)
    if "simulate" in given and context.params["simulate"]:
        raise Trouble("a branch plays no simulated days", "leave --simulate out; the centre does")
    if "leaf_port" in given:
        raise Trouble("a branch has no branches of its own", "leave --leaf-port out")
    without_use = sorted(
        given
        & {"config", "port", "aggregator_port", "publisher_port", "carrier_port", "gate_port", "auditor_port", "speed"}
    )
    if without_use:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in without_use)
        warn(f"{options}: of no use at a branch; the configuration, the page and the rest are at the centre")


def _run_branch(
    folder: DataFolder, ports: Ports, centre: LeafRemote, mqtt: MqttListener, *, is_mqtt_wanted: bool, is_verbose: bool
) -> None:
    with folder.held():
        if Register(folder.bus_home).read().leaves or (folder.bus_home / "nkeys" / "aggregator.nk").exists():
            raise Trouble(
                f"{folder.path} holds the data of a centre", "give the branch a folder of its own with --data"
            )
        _refuse_taken_ports(ports, only=("ingest_port", "nats_port", "nats_monitor_port"))
        if is_mqtt_wanted:
            _refuse_taken_port(mqtt.host, mqtt.port, "--mqtt-port")
        bus = BusServer(
            *(folder.bus_home, ports.nats_port, ports.nats_monitor_port),
            mqtt=mqtt if is_mqtt_wanted else None,
            centre=centre,
        )
        house = _House(folder, ports, bus, mqtt, is_verbose=is_verbose)
        with house.stopped_at_the_end():
            house.start(())
            house.wait_until_ready()
            house.run(is_simulated=False)


def _refuse_what_a_drill_has_not(context: typer.Context) -> None:
    """Refuse what asks for the opposite of a drill, and say of what is merely without use that it is."""
    given = _given(context)
    asked = given & {"leaf_of", "leaf_key", "leaf_port", "mqtt_port", "ingest_host"}
    if context.params["simulate"]:
        asked.add("simulate")
    if asked:
        options = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in asked))
        raise Trouble("a drill takes nothing in", f"leave {options} out, or --drill")
    if "config" in given:
        warn("--config: of no use in a drill; the libraries are those of the backup")


def _with_free_ports(context: typer.Context, ports: Ports) -> Ports:
    """Give a drill ports of its own: the real house may run on the same machine."""
    given = _given(context)
    with ExitStack() as held:  # all at once, so that no two are the same
        free = {}
        for name in ALWAYS_TAKEN:
            if name not in given:
                probe = held.enter_context(socket.socket())
                probe.bind((HOST, 0))
                free[name] = probe.getsockname()[1]
    return replace(ports, **free)


def _run_drill(folder: DataFolder, ports: Ports, *, is_verbose: bool) -> None:
    with folder.held():
        _refuse_taken_ports(ports)
        bus = BusServer(folder.bus_home, ports.nats_port, ports.nats_monitor_port)
        house = _House(folder, ports, bus, MqttListener(MQTT_PORT, HOST), is_drill=True, is_verbose=is_verbose)
        with house.stopped_at_the_end():
            house.start(())
            house.wait_until_ready()
            house.run(is_simulated=False)


def _refuse_taken_ports(ports: Ports, *more: str, only: tuple[str, ...] = ALWAYS_TAKEN) -> None:
    chosen: dict[int, str] = {}
    for name in (*only, *more):
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


def _show_branch(addresses: Addresses, folder: DataFolder) -> None:
    lines = [
        f"readings  {addresses.ingest}/v1/readings",
        f"line      {addresses.monitor}/leafz",
        f"logs      {folder.logs}/",
        "stop      Ctrl-C; the data is kept",
        "The centre fetches what is stored here, and keeps the configuration here up to date.",
        "While the line is down everything is kept; after it the centre catches up by itself.",
    ]
    title = f"Placelibre is running: branch {addresses.leaf}"
    OUT.print(Panel(Text("\n".join(lines), overflow="fold"), title=title, expand=False))


def _show_drill(addresses: Addresses, folder: DataFolder) -> None:
    lines = [
        f"page      {addresses.api}/",
        f"logs      {folder.logs}/",
        "stop      Ctrl-C; then remove the folder",
        "Nothing is taken in, fetched, posted or sent: neither ingest nor the publisher runs.",
        "So what is shown is as old as the backup, and says so.",
    ]
    OUT.print(Panel(Text("\n".join(lines), overflow="fold"), title="Placelibre is running: drill", expand=False))
    say(f"Look it over: `placelibre doctor --data {folder.path}`, `placelibre reconcile --data {folder.path}`\n")


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
    say("To try the staff's tablet: `placelibre staff people add LIBRARY --name AB`, then")
    say("  `placelibre staff enrol LIBRARY --name 'Front desk'`, and open the address that it prints.\n")
    say("For a library of your own: add it to libraries.toml, run `placelibre keys new LIBRARY --device tablet --role")
    say("staff --write libraries.toml` and `placelibre apply`, then send its first reading, how many are inside:")
    say(
        f"  curl -i {addresses.ingest}/v1/readings -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json'"
        """ -d '{"kind": "head_count", "library": "LIBRARY", "people": 42}'\n"""
    )
