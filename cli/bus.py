"""`placelibre bus`: the bus of containers or of several machines; its keys, certificates, rights, and what it holds.

`placelibre up` needs none of this: its bus is on the same machine, for its own processes alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.bus_access import BusAddress, CaFileOption, operator_bus
from cli.bus_folder.folder import FOR_GROUP, PRIVATE, Access, BusFolder, Report
from cli.bus_folder.rendering import AUTHORIZATION, MAX_FILE_STORE_GB, Layout, Node
from cli.operator_audit import note_beside_a_file, note_provisioned
from cli.provisioning import tell_left
from cli.terminal import Trouble, command_app, examples, say, say_json
from shared.contracts.audit import Act, Outcome
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import monotonic_s
from shared.runtime.clock import wait_s as wait_on_the_clock
from shared.runtime.provision import COPIES_IN_A_CLUSTER, Provisioned, ProvisioningFailed, provision

app = command_app()

MOUNTED_AT: Final = "/etc/placelibre/bus"
STORE: Final = "/data/jetstream"
HERE: Final = ("localhost", "127.0.0.1", "::1")
"""In every certificate: probes and operators on the server's own machine."""
CLUSTER_SIZE: Final = COPIES_IN_A_CLUSTER
"""Of five servers two may go; nobody with one library needs that, and each write waits for three."""
RETRY_EVERY_S: Final = 1.0
"""A cluster elects its leader within some seconds of its start."""
FolderArgument = Annotated[Path, typer.Argument(help="The folder of keys, certificates and configurations.")]
HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME", help="A name or address by which clients reach it; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it for a program.")]
TrailOption = Annotated[
    str | None,
    typer.Option(
        "--nats-url",
        envvar="PLACELIBRE_NATS_URL",
        help="The bus of this folder, to note it in the audit trail, with the operator's key that is here.",
    ),
]


@app.callback(
    epilog=examples(
        "placelibre bus init bus --host bus.library.example",
        "placelibre bus provision --nats-url tls://bus.library.example --seed-file bus/nkeys/operator.nk"
        " --ca-file bus/tls/ca.pem",
        "placelibre bus renew bus",
        "placelibre bus rotate bus api",
    )
)
def bus() -> None:
    """The bus of containers or of several machines: keys, certificates, rights, and what it holds."""


@app.command(
    epilog=examples(
        "placelibre bus init bus --host bus.library.example",
        "placelibre bus init bus --nodes 3 --node nats-0.nats --node nats-1.nats --node nats-2.nats",
        "placelibre bus init bus --owner 10001:10001",
        "placelibre bus init bus --update-rights",
    )
)
def init(
    folder: FolderArgument,
    *,
    host: HostOption = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            help=f"Servers: 1, or {CLUSTER_SIZE} for a cluster; left out: as many as the folder is for, or 1."
        ),
    ] = None,
    node: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="How the servers reach each other, once for each; nats-0.nats and so on if left out."
        ),
    ] = None,
    mounted_at: Annotated[str, typer.Option(help="Where the servers find this folder.")] = MOUNTED_AT,
    store: Annotated[str, typer.Option(help="Where the servers keep what is stored.")] = STORE,
    monitor_host: Annotated[
        str, typer.Option(help="Where port 8222 listens; 0.0.0.0 only where something else guards it.")
    ] = "127.0.0.1",
    max_file_store: Annotated[
        int, typer.Option(min=MAX_FILE_STORE_GB, help="GiB of disk that may be filled; less than it has.")
    ] = MAX_FILE_STORE_GB,
    owner: Annotated[
        str,
        typer.Option(metavar="UID[:GID]", help="Give what is made to this user, as numbers; 10001:10001 in images."),
    ] = "",
    mode: Annotated[
        str, typer.Option(metavar="600|640", help="Of secrets; 640 lets the group read them.")
    ] = f"{PRIVATE:o}",
    update_rights: Annotated[
        bool, typer.Option("--update-rights", help="After an upgrade: write users and rights of this version.")
    ] = False,
    nats_url: TrailOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a bus's keys, certificates, rights and configurations.

    What is there already is kept as it is. One nkey for each service and one for the operator; an authority of our own
    and a certificate that it signs; the users with their rights; and nats-server's configuration, with TLS throughout.
    """
    made = BusFolder(folder, _access(owner, mode))
    found = made.size()
    places = _places(nodes or found or 1, node)
    layout = Layout(places, mounted_at, store, monitor_host=monitor_host, max_file_store_gb=max_file_store)
    # A folder that is there has its servers' names already; they are asked after only where somebody says some.
    is_named = bool(node) or nodes is not None or found is None or not made.server_file.exists()
    hosts = [*(host or ()), *((each.host for each in places) if is_named else ()), *HERE]
    is_new = not made.authorization_file.exists()
    report = made.make(layout, tuple(dict.fromkeys(hosts)), is_rights_anew=update_rights)
    if AUTHORIZATION in report.made and not is_new:
        note_beside_a_file(_trail(made, nats_url), Act.BUS_RIGHTS_WRITTEN, subject=AUTHORIZATION)
    ends = made.ends()
    todo = _next(folder, report, layout, hosts[0] if host else "HOST")
    if as_json:
        say_json(
            {
                "folder": str(folder),
                "made": report.made,
                "kept": report.kept,
                "outdated": report.outdated,
                "certificates_end": ends,
                "next": todo,
            }
        )
        return
    for each in report.made:
        say(f"made {folder / each}")
    if report.kept:
        say(f"{len(report.kept)} files were there already and are as they were")
    for each in report.outdated:
        say(f"look: {each}", style="yellow")
    say(f"The servers' certificate holds until {ends['server'][:10]}.")
    say("What to do next:")
    for each in todo:
        say(f"  - {each}")


@app.command(epilog=examples("placelibre bus renew bus", "placelibre bus renew bus --host bus2.library.example --json"))
def renew(
    folder: FolderArgument, *, host: HostOption = None, nats_url: TrailOption = None, as_json: JsonOption = False
) -> None:
    """Make the servers' certificate anew, for another year, from the same authority.

    For the names it has, and those of --host. Clients and their keys notice nothing.
    """
    made = BusFolder(folder)
    names = made.renew(host or ())
    ends = made.ends()
    note_beside_a_file(_trail(made, nats_url), Act.BUS_CERTIFICATE_RENEWED, subject=made.server_file.name)
    todo = [
        "bring tls/server.pem and tls/server-key.pem to every server",
        "reload each of them: nats-server --signal reload, or SIGHUP; no connection is lost",
    ]
    if as_json:
        say_json({"hosts": list(names), "certificates_end": ends, "next": todo})
        return
    say(f"The servers' certificate holds until {ends['server'][:10]}, for {', '.join(names)}.")
    say("What to do next:")
    for each in todo:
        say(f"  - {each}")


@app.command(epilog=examples("placelibre bus rotate bus api", "placelibre bus rotate bus api --finish"))
def rotate(
    folder: FolderArgument,
    user: Annotated[str, typer.Argument(help="The service, or operator.")],
    *,
    finish: Annotated[bool, typer.Option("--finish", help="Let it in with the new key alone.")] = False,
    nats_url: TrailOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give one service a new key.

    Both keys hold until --finish, so nothing has to happen at the same moment.
    """
    made = BusFolder(folder)
    reload = f"bring {AUTHORIZATION} to every server and reload it: nats-server --signal reload, or SIGHUP"
    trail = _trail(made, nats_url)
    if finish:
        made.finish(user)
        note_beside_a_file(trail, Act.BUS_KEY_CHANGED, subject=user)
        todo = [reload, f"whoever still uses {user}'s former key is out from then on"]
    else:
        made.refuse_second(user)
        # Before it is done: of the operator the bus knows the key that is in the folder now, and not yet the next one.
        note_beside_a_file(trail, Act.BUS_KEY_CHANGED, subject=user, outcome=Outcome.BEGUN)
        made.rotate(user)
        todo = [
            reload,
            f"bring {made.seed_file(user)} to {user} and start it anew",
            f"then: placelibre bus rotate {folder} {user} --finish",
        ]
    if as_json:
        say_json({"user": user, "keys": 1 if finish else 2, "next": todo})
        return
    say(f"{user} has its new key alone" if finish else f"{user} has two keys now, a new one and the former one")
    say("What to do next:")
    for each in todo:
        say(f"  - {each}")


@app.command(
    "provision",
    epilog=examples(
        "placelibre bus provision --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
        "placelibre bus provision --nats-url tls://nats-0.nats,tls://nats-1.nats,tls://nats-2.nats --replicas 3"
        " --seed-file operator.nk --ca-file ca.pem --wait 120",
        "placelibre bus provision --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem --dry-run --json",
    ),
)
def provision_bus(
    *,
    nats_url: Annotated[
        str | None,
        typer.Option(
            "--nats-url", envvar="PLACELIBRE_NATS_URL", help="The bus; several addresses of one cluster by commas."
        ),
    ] = None,
    seed_file: Annotated[
        Path | None, typer.Option("--seed-file", envvar="PLACELIBRE_NATS_SEED_FILE", help="The operator's nkey seed.")
    ] = None,
    ca_file: CaFileOption = None,
    replicas: Annotated[
        int | None,
        typer.Option(help=f"Copies of everything; left out: {CLUSTER_SIZE} in a cluster, 1 where one server is alone."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what differs; exit 1 if something does.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for the bus.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Make streams, buckets and consumers as this version needs them; done twice it does no harm.

    Exit 0 when all is as it should be.
    """
    if replicas not in {None, 1, CLUSTER_SIZE}:
        raise Trouble(
            f"{replicas} copies make no sense", "leave --replicas out: there are as many then as the bus has servers"
        )
    if nats_url is None or seed_file is None:
        missing = "--nats-url" if nats_url is None else "--seed-file"
        raise Trouble(
            f"{missing} is missing", "name the bus and the operator's key; the bus of `placelibre up` needs neither"
        )
    address = BusAddress(nats_url, seed_file, ca_file)
    done = asyncio.run(_provision(address, replicas, wait, is_dry=dry_run))
    is_well = not dry_run or all(each.action == "as it should be" for each in done)
    if as_json:
        rows = [
            {"name": each.name, "action": each.action, "drift": list(each.drift), "left": list(each.left)}
            for each in done
        ]
        say_json({"ok": is_well, "done": rows})
    else:
        for each in done:
            drift = f" ({', '.join(each.drift)})" if each.drift else ""
            say(f"{each.name}: {each.action}{drift}")
    tell_left(done)
    if not is_well:
        raise typer.Exit(1)


def _trail(folder: BusFolder, nats_url: str | None) -> BusAddress | None:
    """Return the bus of the folder as the operator reaches it, None where nobody has named it."""
    return None if nats_url is None else BusAddress(nats_url, folder.seed_file("operator"), folder.authority_file)


async def _provision(
    address: BusAddress, replicas: int | None, wait_s: float, *, is_dry: bool
) -> tuple[Provisioned, ...]:
    remedy = "see the bus's log, and start this again; what is there stays, and what it holds"
    deadline = monotonic_s() + wait_s
    found: dict[str, Provisioned] = {}
    try:
        async with operator_bus(address, connect_timeout_s=max(wait_s, 1.0)) as bus:
            _refuse_copies(bus, replicas)
            try:
                while True:
                    try:
                        _add(found, await provision(bus, replicas=replicas, is_dry=is_dry))
                        break
                    except ProvisioningFailed as error:  # no answer is not a no: nothing is made anew because of it
                        _add(found, error.done)
                        if not error.may_pass or monotonic_s() > deadline:
                            raise
                    await wait_on_the_clock(RETRY_EVERY_S)
            finally:
                await note_provisioned(bus, found.values())
    except ProvisioningFailed as error:
        raise Trouble(str(error), error.remedy or remedy) from error
    except BusUnavailable as error:
        raise Trouble(str(error), remedy) from error
    return tuple(found.values())


def _add(found: dict[str, Provisioned], more: Iterable[Provisioned]) -> None:
    """Keep of each what was done with it, in whichever attempt."""
    for each in more:
        if each.name not in found or not found[each.name].is_changed:
            found[each.name] = each


def _refuse_copies(bus: Bus, replicas: int | None) -> None:
    """Refuse a number of copies that is not the number of servers. Raises Trouble."""
    if replicas == 1 and bus.is_cluster:
        raise Trouble(
            "of this cluster's three servers one would keep the only copy of everything",
            "leave --replicas out: then each of them keeps one, and any one may go",
        )
    if replicas == CLUSTER_SIZE and not bus.is_cluster:
        raise Trouble(
            f"this bus is one server, which cannot keep {CLUSTER_SIZE} copies",
            "leave --replicas out; docs/bus.md says how one server becomes three",
        )


def _places(number: int, names: list[str] | None) -> tuple[Node, ...]:
    if number not in {1, CLUSTER_SIZE}:
        raise Trouble(f"{number} servers make no bus", f"say --nodes 1, or --nodes {CLUSTER_SIZE} for a cluster")
    hosts = names or (["nats"] if number == 1 else [f"nats-{each}.nats" for each in range(number)])
    if len(set(hosts)) != number:
        raise Trouble(f"{len(hosts)} names for {number} servers", "say --node once for each of them")
    if number == 1:
        return (Node("placelibre", hosts[0]),)
    return tuple(Node(f"nats-{each}", host) for each, host in enumerate(hosts))


def _access(owner: str, mode: str) -> Access:
    user, _, group = owner.partition(":")
    if mode not in {f"{PRIVATE:o}", f"{FOR_GROUP:o}"}:
        raise Trouble(f"--mode {mode} is none", f"say {PRIVATE:o}, or {FOR_GROUP:o} so that the group can read")
    try:
        return Access(int(mode, 8), int(user) if user else None, int(group) if group else None)
    except ValueError as error:
        raise Trouble(f"--owner {owner} is no number", "say it like 10001:10001") from error


def _next(folder: Path, report: Report, layout: Layout, host: str) -> list[str]:
    """Return what is left to do; `host` is where clients reach a single server."""
    todo = []
    if any(AUTHORIZATION in each for each in report.outdated):
        todo.append(f"write the rights of this version: placelibre bus init {folder} --update-rights")
    if report.unnamed:
        named = " ".join(f"--host {each}" for each in report.unnamed)
        todo.append(f"name the missing hosts: placelibre bus renew {folder} {named}")
    if report.is_of_other_size:
        todo.append(
            "remove the configurations of another number, if nothing runs on them; else see `From one server to three`"
            " in docs/bus.md, for what one server has stored is not taken up by three, nor the other way round"
        )
    if AUTHORIZATION in report.made:
        todo.append(f"bring {folder} to the servers, all but tls/ca-key.pem, and reload those that run")
    if any("ca-key" in each for each in report.made):
        is_cluster = len(layout.nodes) > 1
        servers = ",".join(f"tls://{each.host}:{each.port}" for each in layout.nodes) if is_cluster else f"tls://{host}"
        todo.append(f"keep {folder}/tls/ca-key.pem away from all of them: it is for `placelibre bus renew` alone")
        todo.append("give each service its own key of nkeys/ and tls/ca.pem, and nothing else")
        todo.append(
            f"start the bus, then: placelibre bus provision --nats-url {servers}"
            + (f" --replicas {CLUSTER_SIZE}" if is_cluster else "")
            + f" --seed-file {folder}/nkeys/operator.nk --ca-file {folder}/tls/ca.pem"
        )
    return todo or ["nothing"]
