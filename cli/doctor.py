"""`placelibre doctor`: looks everything over and says what each finding means and what to do next."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from cli import diagnosis
from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, operator_bus
from cli.data_folder import DATA, NOT_IN_A_DRILL, DataFolder, DataOption
from cli.judgement import Finding, Severity, look, wrong
from cli.service_list import Service, of_addresses, services_of
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json
from shared.runtime.clock import now

app = command_app()

STYLES: Final = {Severity.OK: "green", Severity.LOOK: "yellow", Severity.WRONG: "bold red"}


@app.command(
    epilog=examples(
        "placelibre doctor",
        "placelibre doctor --json",
        "placelibre doctor --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
        "placelibre doctor --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem --services services.txt",
        "placelibre doctor --exports /var/backups/placelibre",
        "placelibre doctor --services http://10.0.0.7:8001,api=https://library.example --prometheus http://127.0.0.1:9090",
    )
)
def doctor(
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    services: Annotated[
        str | None,
        typer.Option(
            envvar="PLACELIBRE_SERVICES",
            help="The services to ask, instead of those of --data: addresses with commas between them, or a file with"
            " one a line. `ingest=` before one says which it is where host and port do not.",
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            envvar="PLACELIBRE_PROMETHEUS", help="The address of Prometheus: tells also which alerts fire now."
        ),
    ] = None,
    exports: Annotated[
        Path | None,
        typer.Option(
            envvar="PLACELIBRE_EXPORT_DIR", help="The folder of the nightly exports: tells also what room its disk has."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings for a program.")] = False,
) -> None:
    """Look everything over, and say what to do.

    Bus, services, statuses, counts, exports, keys, certificates, clocks, disk. Exit 1 if something is wrong. With
    --nats-url and --services it looks at a bus and services elsewhere; else at those of `placelibre up` here. With
    --nats-url alone it says that it has asked no service.
    """
    elsewhere = None if services is None else services_of(services)
    findings = examine(DataFolder(data.absolute()), nats_url, seed_file, ca_file, elsewhere)
    if exports is not None:
        findings = with_exports_disk(findings, diagnosis.of_exports_disk(exports.absolute()))
    if prometheus is not None:
        findings += diagnosis.of_prometheus(prometheus)
    is_well = all(each.severity is not Severity.WRONG for each in findings)
    if as_json:
        say_json({"ok": is_well, "findings": [asdict(each) for each in findings]})
    else:
        show(findings)
    if not is_well:
        raise typer.Exit(1)


def examine(
    folder: DataFolder,
    nats_url: str | None,
    seed_file: Path | None,
    ca_file: Path | None = None,
    services: list[Service] | None = None,
) -> list[Finding]:
    """Return everything that was found, in the order of the road; a part that is down hides no other."""
    findings: list[Finding] = []
    addresses = folder.addresses()
    if addresses is None and nats_url is None and services is None:
        findings.append(
            wrong(
                "placelibre",
                f"no `placelibre up` is running on {folder.path}",
                "nothing is counted, shown or posted from here",
                "start it with `placelibre up`, or name another folder with --data or a bus with --nats-url",
            )
        )
    url = nats_url or (addresses.nats if addresses else None)
    if url is not None:
        own_seed = folder.seed_file("operator") if nats_url is None else None
        branch = addresses.monitor if addresses is not None and addresses.leaf and nats_url is None else ""
        is_drill = nats_url is None and addresses is not None and addresses.is_drill
        findings += asyncio.run(_of_bus(BusAddress(url, seed_file or own_seed, ca_file), branch, is_drill=is_drill))
    if services is not None:
        findings += diagnosis.of_services(services, "the log of the {}", now())
    elif nats_url is not None:
        findings.append(_unasked())
    elif addresses is not None:
        if addresses.is_drill:
            findings.append(_of_drill())
        here = of_addresses(addresses.of_services())
        findings += diagnosis.of_services(here, str(folder.logs / "{}.log"), now(), is_branch=bool(addresses.leaf))
    if addresses is not None or (nats_url is None and services is None):
        findings.append(diagnosis.of_disk(folder.path))  # of a bus elsewhere the auditor tells how full its store is
    return findings


def with_exports_disk(findings: list[Finding], own: Finding) -> list[Finding]:
    """Add what was found of the disk of the exports; where the auditor has told of it, the graver of the two stays."""
    told = [each for each in findings if each.subject == own.subject]
    if not told or own.severity is Severity.OK:  # with room here, the auditor's is about another disk
        return [*findings, own]
    if own.severity is Severity.WRONG:
        return [*(each for each in findings if each not in told), own]
    return findings


def _unasked() -> Finding:
    return look(
        "services",
        "none was asked: only the bus was looked at",
        "a service that is down, hangs or is out of date is not seen here, nor a disk that fills",
        "name them with --services or PLACELIBRE_SERVICES: addresses with commas between them, or a file with one a"
        " line (http://10.0.0.7:8001)",
    )


def _of_drill() -> Finding:
    return look(
        "drill",
        "neither ingest nor the publisher runs, as a drill is meant to be",
        "nothing is counted or posted from here, and what is shown is as old as the backup",
        "stop it and remove its folder when you have seen enough",
    )


async def _of_bus(address: BusAddress, branch: str, *, is_drill: bool) -> list[Finding]:
    """Return what a bus tells; `branch` is where the bus of a branch tells its own figures, empty for the centre's."""
    try:
        async with operator_bus(address) as bus:
            without = NOT_IN_A_DRILL if is_drill else ()
            return await (diagnosis.of_branch(bus, branch) if branch else diagnosis.of_bus(bus, now(), without))
    except Trouble as trouble:
        meaning = (
            "nothing on it was looked at; if the services cannot reach it either, readings are refused with 503 and"
            " statuses expire, and what follows tells"
        )
        return [wrong("bus", trouble.what, meaning, trouble.remedy)]


def show(findings: list[Finding]) -> None:
    """Print the findings for people: what is well in a line each, the rest with meaning and remedy."""
    for each in findings:
        line = Text.assemble((f"{each.severity:<6}", STYLES[each.severity]), f"{each.subject}: {each.what}")
        OUT.print(line, soft_wrap=True)
        if each.meaning:
            say(f"      it means: {each.meaning}")
        if each.remedy:
            say(f"      what to do: {each.remedy}")
    counts = {severity: sum(each.severity is severity for each in findings) for severity in Severity}
    say(f"{counts[Severity.WRONG]} wrong, {counts[Severity.LOOK]} to look at, {counts[Severity.OK]} well")
