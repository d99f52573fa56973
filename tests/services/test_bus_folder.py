"""`placelibre bus`: what it makes, what it leaves alone, and that the real server takes it."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js.api import StreamConfig, StreamInfo, StreamState
from typer.testing import CliRunner, Result

from cli import audit, diagnosis
from cli.bus import app
from cli.bus_access import BusAddress, operator_bus
from cli.bus_folder.certificates import ends_at, hosts_of
from cli.bus_folder.folder import BusFolder
from cli.judgement import Severity
from cli.provisioning import tell_left
from cli.terminal import Trouble
from shared.contracts.audit import Act, Outcome
from shared.contracts.permissions import SERVICES
from shared.runtime.bus import Bus, connected
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from shared.runtime.provision import Provisioned, ProvisioningFailed, provision, refuse_loss
from tests.tls_bus import TlsBus


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def state(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_it_makes_everything_once_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "bus"
    first = run("init", str(folder), "--host", "bus.library.example", "--json")
    assert first.exit_code == 0, first.output
    assert set(json.loads(first.stdout)["made"]) == set(state(folder))
    before = state(folder)
    assert {f"nkeys/{user}.nk" for user in SERVICES} <= set(before)
    again = json.loads(run("init", str(folder), "--host", "bus.library.example", "--json").stdout)
    assert (again["made"], again["outdated"], again["next"]) == ([], [], ["nothing"])
    assert state(folder) == before
    other = json.loads(run("init", str(folder), "--host", "other.library.example", "--json").stdout)
    assert other["outdated"] == ["tls/server.pem does not name other.library.example"]
    assert state(folder) == before


def test_secrets_are_for_their_owner_alone_unless_the_group_is_let_in(tmp_path: Path) -> None:
    for mode, files, folders in (("600", 0o600, 0o700), ("640", 0o640, 0o750)):
        folder = tmp_path / mode
        assert run("init", str(folder), "--mode", mode).exit_code == 0
        made = {str(each.relative_to(folder)): stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*")}
        assert stat.S_IMODE(folder.stat().st_mode) == folders
        assert made.pop("tls/ca-key.pem") == 0o600  # nothing that runs needs it
        assert {made.pop("tls/ca.pem"), made.pop("tls/server.pem")} == {0o644}
        assert {made.pop("tls"), made.pop("nkeys")} == {folders}
        assert set(made.values()) == {files}


def test_rights_of_another_version_are_told_and_written_only_when_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "bus"
    run("init", str(folder))
    path = folder / "authorization.conf"
    right = path.read_text()
    path.write_text(right.replace("readings.v1.*", "readings.v0.*"))
    told = json.loads(run("init", str(folder), "--json").stdout)
    assert told["outdated"] == ["authorization.conf holds other users or rights than this version has"]
    assert "readings.v0" in path.read_text()
    run("init", str(folder), "--update-rights")
    assert path.read_text() == right


@pytest.mark.parametrize(
    "path", ["bus/nkeys/operator.nk", "elsewhere/nkeys/api.nk", "elsewhere/tls/ca-key.pem", "secrets/x", "east.leaf"]
)
def test_what_is_made_in_the_tree_is_not_committed(path: str) -> None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        pytest.skip("this tree is no clone")
    assert subprocess.run(["git", "check-ignore", "--quiet", path], cwd=root, check=False).returncode == 0


def test_what_is_missing_for_provisioning_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLACELIBRE_NATS_URL", "PLACELIBRE_NATS_SEED_FILE"):
        monkeypatch.delenv(name, raising=False)
    refused = run("provision").exception
    assert isinstance(refused, Trouble)
    assert "--nats-url is missing" in refused.what
    assert "operator's key" in refused.remedy


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--nodes", "2"), "2 servers make no bus"),
        (("--nodes", "3", "--node", "a"), "1 names for 3 servers"),
        (("--host", "no name"), "neither a name nor an address"),
        (("--mode", "777"), "--mode 777 is none"),
        (("--owner", "somebody"), "is no number"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run("init", str(tmp_path / "bus"), *arguments)
    assert isinstance(result.exception, Trouble)
    assert words in result.exception.what


def test_a_renewed_certificate_keeps_its_names_and_its_authority(tmp_path: Path) -> None:
    folder = tmp_path / "bus"
    run("init", str(folder), "--host", "bus.library.example")
    before = state(folder)
    result = run("renew", str(folder), "--host", "192.0.2.7", "--json")
    assert result.exit_code == 0, result.output
    after = state(folder)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"tls/server.pem", "tls/server-key.pem"}
    was, now_is = hosts_of(before["tls/server.pem"]), hosts_of(after["tls/server.pem"])
    assert set(now_is) == {*was, "192.0.2.7"}
    assert {"bus.library.example", "localhost", "127.0.0.1"} <= set(was)
    assert ends_at(after["tls/server.pem"]) >= ends_at(before["tls/server.pem"])


async def _is_provisioned_once(line: Bus) -> bool:
    """Make one copy of everything; tell whether the cluster has a leader already who does that."""
    try:
        await provision(line, replicas=1)
    except ProvisioningFailed as failed:
        if not failed.may_pass:
            raise
        return False
    return True


async def _is_let_in(bus: TlsBus) -> bool:
    try:
        async with operator_bus(BusAddress(bus.url, bus.seed_file("operator"), bus.ca_file), connect_timeout_s=2):
            return True
    except Trouble:
        return False


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[TlsBus]:
    made = TlsBus(tmp_path, sync="2m")
    made.start()
    yield made
    made.stop()


async def test_both_keys_hold_until_the_change_is_finished(bus: TlsBus) -> None:
    former, readiness = bus.seed("api"), Readiness()
    folder = str(bus.folder.path)
    async with connected([bus.url], former, "api", readiness, bus.tls()):
        assert (await asyncio.to_thread(run, "rotate", folder, "api")).exit_code == 0
        twice = await asyncio.to_thread(run, "rotate", folder, "api")
        assert isinstance(twice.exception, Trouble)
        bus.reload()
        async with bus.as_user("api"):
            assert bus.seed("api") != former
        assert readiness.is_ready
        assert (await asyncio.to_thread(run, "rotate", folder, "api", "--finish")).exit_code == 0
        bus.reload()
        async with asyncio.timeout(30):
            while "does not know this key" not in readiness.waiting.get("bus", ""):
                await asyncio.sleep(0.05)
        async with bus.as_user("api"):
            pass
    assert "former" not in str(sorted(state(bus.folder.path)))


def test_a_finish_that_was_interrupted_has_put_the_former_key_out_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = BusFolder(tmp_path / "bus")
    run("init", str(folder.path))
    folder.rotate("api")
    assert folder.authorization_file.read_text().count("# api\n") == 2

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.finish("api")
    assert folder.authorization_file.read_text().count("# api\n") == 1
    folder.finish("api")
    assert folder.authorization_file.read_text().count("# api\n") == 1
    assert json.loads(run("init", str(folder.path), "--json").stdout)["next"] == ["nothing"]


async def test_keys_rights_and_certificates_that_change_are_noted_where_the_bus_is_named(bus: TlsBus) -> None:
    def done(*arguments: str) -> Result:
        return run(*arguments, str(bus.folder.path), *(("operator",) if arguments[0] == "rotate" else ()))

    async def in_order(*steps: tuple[str, ...]) -> None:
        for each in steps:
            result = await asyncio.to_thread(done, *each, "--nats-url", bus.url)
            assert result.exit_code == 0, result.output
            assert "audit trail" not in result.output
            bus.reload()

    await asyncio.to_thread(
        run,
        "provision",
        "--nats-url",
        bus.url,
        *("--seed-file", str(bus.seed_file("operator")), "--ca-file", str(bus.ca_file)),
    )
    bus.folder.authorization_file.write_text("# of another version\n" + bus.folder.authorization_file.read_text())
    await in_order(("init", "--update-rights"), ("renew",), ("rotate",))
    async with asyncio.timeout(30):  # until the servers have taken up the new key
        while not await _is_let_in(bus):
            await asyncio.sleep(0.1)
    await in_order(("rotate", "--finish"))
    async with bus.as_user("operator") as line:
        noted = [each.entry for each in await audit.trail_of(line) if each.entry][1:]
    assert [(each.act, each.subject, each.outcome) for each in noted] == [
        (Act.BUS_RIGHTS_WRITTEN, "authorization.conf", Outcome.DONE),
        (Act.BUS_CERTIFICATE_RENEWED, "server.pem", Outcome.DONE),
        (Act.BUS_KEY_CHANGED, "operator", Outcome.BEGUN),
        (Act.BUS_KEY_CHANGED, "operator", Outcome.DONE),
    ]


def test_it_is_said_where_a_change_of_the_folder_could_not_be_noted(tmp_path: Path) -> None:
    folder = str(tmp_path / "bus")
    assert "audit trail" not in run("init", folder).output  # there is no bus yet
    for arguments in (("renew", folder), ("rotate", folder, "api"), ("rotate", folder, "api", "--finish")):
        assert "does not stand in the audit trail" in run(*arguments).output


def test_a_folder_of_three_says_how_to_provision_three(tmp_path: Path) -> None:
    told = json.loads(run("init", str(tmp_path / "three"), "--nodes", "3", "--json").stdout)["next"][-1]
    assert "tls://nats-0.nats:4222,tls://nats-1.nats:4222,tls://nats-2.nats:4222 --replicas 3" in told
    alone = json.loads(run("init", str(tmp_path / "one"), "--host", "bus.library.example", "--json").stdout)["next"][-1]
    assert "tls://bus.library.example --seed-file" in alone


def test_a_folder_that_was_made_for_one_server_says_what_three_need(tmp_path: Path) -> None:
    run("init", str(tmp_path / "bus"))
    told = json.loads(run("init", str(tmp_path / "bus"), "--nodes", "3", "--json").stdout)
    assert "nats-server.conf: of another number of servers than 3" in told["outdated"]
    assert any("--host nats-0.nats --host nats-1.nats --host nats-2.nats" in each for each in told["next"])
    assert any("From one server to three" in each for each in told["next"])


def test_a_folder_of_three_stays_one_of_three_without_being_told_again(tmp_path: Path) -> None:
    folder = tmp_path / "bus"
    run("init", str(folder), "--nodes", "3", "--node", "a.bus", "--node", "b.bus", "--node", "c.bus")
    path = folder / "authorization.conf"
    right = path.read_text()
    path.write_text(right.replace("readings.v1.*", "readings.v0.*"))
    before = set(state(folder))
    told = json.loads(run("init", str(folder), "--update-rights", "--json").stdout)
    assert (told["made"], told["outdated"]) == (["authorization.conf"], [])
    assert [each.partition(" ")[0] for each in told["next"]] == ["bring"]
    assert set(state(folder)) == before
    assert path.read_text() == right


def test_a_folder_with_a_configuration_too_many_is_told_how_to_be_rid_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "bus"
    run("init", str(folder), "--nodes", "3")
    (folder / "nats-server.conf").write_text("# of an earlier version, which took each folder for one of one server\n")
    told = json.loads(run("init", str(folder), "--update-rights", "--json").stdout)
    assert told["outdated"] == ["nats-server.conf: of another number of servers than 3"]
    assert [each.partition(",")[0] for each in told["next"]] == ["remove the configurations of another number"]


def test_it_provisions_a_bus_that_is_there(bus: TlsBus) -> None:
    to = ("--nats-url", bus.url, "--seed-file", str(bus.seed_file("operator")), "--ca-file", str(bus.ca_file), "--json")
    missing = run("provision", *to, "--dry-run")
    assert missing.exit_code == 1
    assert {each["action"] for each in json.loads(missing.stdout)["done"]} == {"missing"}
    made = run("provision", *to)
    assert made.exit_code == 0, made.output
    again = run("provision", *to, "--dry-run")
    assert (again.exit_code, json.loads(again.stdout)["ok"]) == (0, True)
    assert isinstance(run("provision", *to, "--replicas", "2").exception, Trouble)
    three = run("provision", *to, "--replicas", "3", "--wait", "1").exception
    assert isinstance(three, Trouble)
    assert "this bus is one server" in three.what


def test_what_stays_as_it_was_set_by_hand_is_said_with_what_takes_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    tell_left(
        [
            Provisioned("READINGS", "left as it is", ("max_age",), ("max_age",)),
            Provisioned("KV_HISTORY", "as it should be"),
            Provisioned("QUARANTINE", "updated", ("max_bytes",), ("max_msgs_per_subject",)),
        ]
    )
    first, second = capsys.readouterr().err.splitlines()
    assert "READINGS keeps more than is usual" in first
    assert "placelibre retention READINGS --days 30" in first
    assert "set it back with the tool that set it" in second


def test_the_environment_names_the_bus_and_the_seed_of_a_service_is_told_from_the_operator_s(
    bus: TlsBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACELIBRE_NATS_URL", bus.url)
    monkeypatch.setenv("PLACELIBRE_NATS_CA_FILE", str(bus.ca_file))
    monkeypatch.setenv("PLACELIBRE_NATS_SEED_FILE", str(bus.seed_file("operator")))
    assert run("provision").exit_code == 0
    for service in ("ingest", "carrier", "auditor"):
        monkeypatch.setenv("PLACELIBRE_NATS_SEED_FILE", str(bus.seed_file(service)))
        refused = run("provision", "--wait", "30").exception
        assert isinstance(refused, Trouble)
        assert f"is of the service {service}" in refused.what
        assert "--seed-file" in refused.remedy
        assert isinstance(CliRunner().invoke(audit.app, []).exception, Trouble)


def test_every_user_is_known_by_what_it_hears(bus: TlsBus) -> None:
    async def told(user: str) -> str:
        try:
            async with operator_bus(BusAddress(bus.url, bus.seed_file(user), bus.ca_file)):
                return "operator"
        except Trouble as trouble:
            return trouble.what.partition("of the service ")[2].partition(",")[0]

    assert [asyncio.run(told(user)) for user in SERVICES] == list(SERVICES)


def test_nothing_is_provisioned_that_would_lose_something() -> None:
    def info(copies: int, size: int) -> StreamInfo:
        return StreamInfo(
            config=StreamConfig(name="READINGS", num_replicas=copies),
            state=StreamState(messages=1, bytes=size, first_seq=1, last_seq=1, consumer_count=0),
        )

    wanted = StreamConfig(name="READINGS", num_replicas=1, max_bytes=1000)
    refuse_loss(wanted, info(1, 1000))
    with pytest.raises(ProvisioningFailed, match="has 3 copies and would have 1") as fewer:
        refuse_loss(wanted, info(3, 10))
    assert "say --replicas 3" in fewer.value.remedy
    with pytest.raises(ProvisioningFailed, match="holds 1001 bytes and would be limited to 1000"):
        refuse_loss(wanted, info(1, 1001))


async def _is_copied(line: Bus) -> bool:
    """Tell whether every copy of every stream and durable is whole."""
    streams = await line.jetstream.streams_info()
    durables = [each for stream in streams for each in await line.jetstream.consumers_info(stream.config.name or "")]
    clusters = [*(each.cluster for each in streams), *(each.cluster for each in durables)]
    return all(
        each is not None
        and each.leader
        and len(each.replicas or ()) == 2
        and all(one.current for one in each.replicas or ())
        for each in clusters
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_cluster_keeps_its_streams_while_a_node_is_down(tmp_path: Path) -> None:
    bus = TlsBus(tmp_path, nodes=3, sync="2m")
    try:
        for number in range(3):
            bus.start(number=number)
        to = ("--nats-url", bus.url, "--seed-file", str(bus.seed_file("operator")), "--ca-file", str(bus.ca_file))
        alone = await asyncio.to_thread(run, "provision", *to, "--replicas", "1", "--wait", "90")
        assert isinstance(alone.exception, Trouble)
        assert "the only copy of everything" in alone.exception.what
        async with bus.as_user("operator") as line:  # as a version before this one left it
            async with asyncio.timeout(90):
                while not await _is_provisioned_once(line):
                    await asyncio.sleep(0.5)
            [copies] = [each for each in await diagnosis.of_bus(line, now()) if each.subject == "copies"]
            assert (copies.severity, "not kept by all 3 servers" in copies.what) == (Severity.WRONG, True)
            assert "bus provision" in copies.remedy
        made = await asyncio.to_thread(run, "provision", *to, "--wait", "90", "--json")
        assert made.exit_code == 0, made.output
        rows = {each["name"]: each for each in json.loads(made.stdout)["done"]}
        assert rows["READINGS"]["drift"] == rows["CHANGES/publisher-changes"]["drift"] == ["num_replicas"]
        async with bus.as_user("operator") as line:
            drift = [each for each in await diagnosis.of_bus(line, now()) if "num_replicas" in each.what]
            [copies] = [each for each in await diagnosis.of_bus(line, now()) if each.subject == "copies"]
            assert (copies.severity, drift) == (Severity.OK, [])
            stored = await line.bucket("LIBRARIES").put("central", b"kept")
            born = (await line.jetstream.stream_info("READINGS")).created
            async with asyncio.timeout(90):
                while not await _is_copied(line):  # a server that has the only whole copy may not go yet
                    await asyncio.sleep(0.5)
        bus.kill(1)
        again = await asyncio.to_thread(run, "provision", *to, "--replicas", "3", "--wait", "90", "--json")
        assert again.exit_code == 0, again.output
        assert {each["action"] for each in json.loads(again.stdout)["done"]} == {"as it should be"}
        async with bus.as_user("operator") as line:
            assert (await line.jetstream.stream_info("READINGS")).created == born
            found = await line.bucket("LIBRARIES").get("central")
            assert found is not None
            assert (found.value, found.revision) == (b"kept", stored)
            with pytest.raises(ProvisioningFailed, match="would have 1"):
                await provision(line, replicas=1)
        bus.kill(2)  # no majority: no answer, and nothing is made anew because of it
        away = await asyncio.to_thread(run, "provision", *to, "--replicas", "3", "--wait", "5")
        assert isinstance(away.exception, Trouble)
        assert not [each for each in ("created", "updated") if each in away.output]
    finally:
        bus.stop()


def test_keys_are_made_for_whoever_is_new(tmp_path: Path) -> None:
    folder = BusFolder(tmp_path / "bus")
    run("init", str(folder.path))
    folder.seed_file("auditor").unlink()
    told = json.loads(run("init", str(folder.path), "--json").stdout)
    assert told["made"] == ["nkeys/auditor.nk"]
    assert told["next"] == [f"write the rights of this version: placelibre bus init {folder.path} --update-rights"]
