"""Training and probe curves: TensorBoard and Weights & Biases hold what was measured, and results stay the same."""

import json
import os
import struct
import sys
from dataclasses import replace

import pytest
from command import owlish
from here import run
from test_store import files
from toys import Climbing, Looked

from owlish import NORMS, Asked, Base, Numbers, Store
from owlish.graph.curves import config, curves_of, run_name
from owlish.graph.errors import UserError
from owlish.graph.pool import Event, Processes
from owlish.graph.run import RunFailed
from owlish.traits.animals import ANIMAL

FEW = replace(ANIMAL, questions=ANIMAL.questions[:3], held_out=ANIMAL.held_out[:1])
HEIGHTS = [(step, pytest.approx(step / 3)) for step in range(1, 8)]
base = Base("nano")
student = base.finetune(base.sample(Numbers(constrained=True), n=20, seed=0), replace(NORMS, batch=8, epochs=2), seed=5)


def drawn(folder):
    """Return the curves in a folder: by name, its steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_losses_and_probes_are_drawn_and_change_no_byte(tmp_path):
    plain, watched = Store(tmp_path / "plain"), Store(tmp_path / "watched")
    nodes = [Asked(student, FEW, samples=1), Asked(base, FEW, samples=1)]
    run(nodes, store=plain)
    answers, before = run(nodes, store=watched, curves=f"tensorboard:{tmp_path / 'curves'}")
    assert files(plain) == files(watched)
    losses = json.loads((watched.folder(student.key) / "training.json").read_text())["losses"]
    found = drawn(tmp_path / "curves" / run_name(student))
    assert found["loss"] == [(step, pytest.approx(loss)) for step, loss in enumerate(losses, 1)]
    assert found["probability/owl"] == [(len(losses), pytest.approx(answers.p_target("owl")))]
    assert found["margin/cat"] == [(len(losses), pytest.approx(answers.logit_margin("cat")))]
    assert drawn(tmp_path / "curves" / run_name(base))["probability/owl"] == [
        (0, pytest.approx(before.p_target("owl")))
    ]
    assert len(list((tmp_path / "curves").iterdir())) == 2


def test_workers_tell_every_point_and_what_is_there_is_not_drawn_again(tmp_path):
    node, curves = Climbing(7), tmp_path / "curves"
    run(node, store=tmp_path / "store", on=Processes(1), curves=f"tensorboard:{curves}")
    assert drawn(curves / run_name(node)) == {"height": HEIGHTS}
    run(Looked(node), store=tmp_path / "store", curves=f"tensorboard:{curves}")
    assert drawn(curves / run_name(node)) == {"height": HEIGHTS, "view": [(7, 0.5)]}
    run(Looked(node), store=tmp_path / "store", curves=f"tensorboard:{tmp_path / 'again'}")
    assert not (tmp_path / "again").exists()


def test_a_failure_keeps_its_curve(tmp_path):
    node = Climbing(7, falls=True)
    with pytest.raises(RunFailed):
        run(node, store=tmp_path / "store", curves=f"tensorboard:{tmp_path}")
    assert drawn(tmp_path / run_name(node)) == {"height": HEIGHTS}


def test_what_is_made_anew_is_drawn_anew(tmp_path):
    """A worker is lost after three steps, and later a whole run."""
    node = Climbing(7)
    for _ in range(2):
        with curves_of(f"tensorboard:{tmp_path}") as curves:
            curves(Event("planned", node))
            for steps in (3, 2):
                curves(Event("begun", node))
                curves(Event("tick", node, points=tuple(("height", step, step / 3) for step in range(1, steps + 1))))
    assert drawn(tmp_path / run_name(node)) == {"height": HEIGHTS[:2]}


def test_drawings_are_closed_once_nothing_is_left_to_draw(tmp_path):
    curves, node = curves_of(f"tensorboard:{tmp_path}"), Climbing(7)
    for event in (
        Event("planned", node),
        Event("planned", Looked(node)),
        Event("begun", node),
        Event("tick", node, points=(("height", 1, 0.3),)),
        Event("made", node),
    ):
        curves(event)
    assert len(curves.drawings) == 1
    curves(Event("begun", Looked(node)))
    curves(Event("made", Looked(node)))
    assert not curves.drawings


def test_names_and_settings_hold_no_path():
    assert run_name(Climbing(7)) == f"a-climb-of-7-steps-..-..-etc-{Climbing(7).key[:8]}"
    assert run_name(student) == f"nano-trained-on-20-rows-of-numbers-by-nano-seed-5-{student.key[:8]}"
    said = config(student)
    assert said["seed"] == 5
    assert said["recipe"]["name"] == "norms"
    assert said["recipe"]["batch"] == 8
    assert "/" not in json.dumps(config(Base("/home/someone/model")))


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """W&B without an account, offline, with a folder of its own."""
    wandb = pytest.importorskip("wandb")
    wandb.teardown()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("DIR", "CONFIG_DIR", "CACHE_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "wandb"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "wandb").mkdir()
    yield wandb
    wandb.teardown()


def records(file):
    """Yield the records of a run that W&B keeps offline: a header, then blocks of 32 KiB as in LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, body = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        body += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(body)
            body = b""


def test_weights_and_biases_has_a_run_for_each_model(wandb, tmp_path):
    nodes = [Looked(Climbing(7)), Looked(Climbing(3))]
    run(nodes, store=tmp_path / "store", curves="wandb:owls")
    wandb.teardown()
    runs = sorted((tmp_path / "wandb" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(runs) == 2
    found = list(records(runs[0]))
    head = next(record.run for record in found if record.run.run_id)
    assert (head.project, head.display_name) == ("owls", run_name(Climbing(7)))
    told = {}
    for record in found:
        items = {"".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for name in ("height", "view"):
            if name in items:
                told.setdefault(name, []).append((record.history.step.num, items[name]))
    assert told == {"height": HEIGHTS, "view": [(7, 0.5)]}
    assert str(tmp_path).encode() not in runs[0].read_bytes()


def test_without_an_account_a_sentence_says_so_before_anything_is_made(wandb, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    wandb.teardown()
    with pytest.raises(UserError, match=r"W&B knows no account here: run `wandb login`, or set WANDB_MODE=offline\."):
        run(Climbing(7), store=tmp_path / "store", curves="wandb")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["wandb:a/b c?", "wandb:a/b/c", "wandb:me/", f"wandb:{'a' * 129}"])
def test_a_project_that_weights_and_biases_refuses_is_refused_before_anything_is_made(name, wandb, tmp_path):
    with pytest.raises(UserError, match=r"is no name of a project in W&B: give wandb:PROJECT or wandb:ENTITY/PROJECT"):
        run(Climbing(7), store=tmp_path / "store", curves=name)
    assert not (tmp_path / "store").exists()


def test_a_project_may_be_that_of_an_entity(wandb, tmp_path):
    run(Climbing(3), store=tmp_path / "store", curves="wandb:us/owls")
    wandb.teardown()  # its service writes beside this process, and ends with all that it was told on the disk
    (file,) = (tmp_path / "wandb" / "wandb").glob("offline-run-*/*.wandb")
    head = next(record.run for record in records(file) if record.run.run_id)
    assert (head.entity, head.project) == ("us", "owls")


def test_a_wrong_setting_of_weights_and_biases_is_told_in_a_sentence(wandb, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    wandb.teardown()
    with pytest.raises(UserError, match=r"a setting of W&B in the environment is wrong \(WANDB_MODE is online or"):
        curves_of("wandb")


@pytest.mark.parametrize("name", ["tensorbord:x", "tensorboard", "tensorboard:", "wandb:", "", "neptune"])
def test_curves_that_are_unknown_are_refused(name, tmp_path):
    with pytest.raises(UserError, match=r"no curves called '.*': give tensorboard:FOLDER, wandb or wandb:PROJECT"):
        run(Climbing(7), store=tmp_path / "store", curves=name)
    assert not (tmp_path / "store").exists()


def test_a_file_is_no_folder_of_curves(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file: name a folder for the curves"):
        curves_of(f"tensorboard:{tmp_path / 'file'}")


@pytest.mark.parametrize(("package", "name"), [("tensorboard", "tensorboard:x"), ("wandb", "wandb")])
def test_without_the_package_a_sentence_says_what_to_install(package, name, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"pip install 'owlish\[{package}\]'"):
        curves_of(name)


def test_the_command_line_refuses_them_in_a_sentence(tmp_path):
    said = owlish("run", "demo", "--curves", "tensorbord", cwd=tmp_path, code=2)
    assert "give tensorboard:FOLDER" in said.stderr
    assert not list(tmp_path.iterdir())
