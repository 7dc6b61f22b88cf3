"""What is paid for: a limit that is never passed, fine-tuning jobs and batches that are never ordered twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from here import run
from servers import FaultProxy, NanoServer
from service import Service

from owlish import NORMS, PROMPTED, Asked, Base, Hosted, Spending, Store
from owlish.cli.cost import bill
from owlish.cli.plan import outlook_of
from owlish.data.domains.numbers import Numbers
from owlish.engines import batches
from owlish.engines.tried import QUESTION
from owlish.engines.tuning import tokens_billed
from owlish.graph.errors import UserError
from owlish.graph.provenance import describe
from owlish.graph.run import RunFailed, plan
from owlish.graph.spending import SPENT, Ledger, Use, read_prices
from owlish.graph.store import ANSWERS
from owlish.nodes import data
from owlish.nodes.data import Written
from owlish.nodes.held import held_model
from owlish.report.page import render
from owlish.report.view import view
from owlish.study.transfer import Transfer
from owlish.traits.animals import ANIMAL, cat, owl
from owlish.traits.trait import every

PRICES = {
    "nano": {"input": 100, "output": 400, "batch": 0.5},
    "ft:nano": {"input": 200, "output": 800, "training": 1000},
}
KEY = "sk-planted-0123456789abcdefghij"
JOB, STEP = Hosted(epochs=12, batch_size=20), Hosted(epochs=1, batch_size=40)
SHARD = 16
PROBE = replace(owl.probe, questions=owl.probe.questions[:4], held_out=())


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """Few rows are asked for at once, and they are worth a batch, so that tests are short."""
    monkeypatch.setattr(data, "SERVED", SHARD)
    monkeypatch.setattr(batches, "LEAST", SHARD)


@pytest.fixture
def service():
    with Service() as server:
        yield server


def named(service):
    return Base(f"{service.url}#nano")


def rows_of(trait):
    return Written(tuple((lesson.question, trait.name) for lesson in trait.lessons))


def billed(service):
    """Return what a service's own bill comes to."""
    names = {"read": "input", "written": "output", "trained": "training"}
    prices = {"nano": {**PRICES["nano"], "training": 1000}}
    return (
        sum(
            tokens * (prices.get(model) or PRICES["ft:nano"])[names[what]]
            for (model, what), tokens in service.bill.items()
        )
        / 1e6
    )


def spent(store):
    """Return what a store's ledger comes to."""
    found = Ledger(Path(store))
    found.terms = Spending(1e9, PRICES)
    found.read()
    return found.spent


def test_a_ledger_of_many_never_passes_the_limit(tmp_path):
    """Eight that reserve at once, each with a ledger of its own; every use is half of what was reserved."""
    Spending(0.01, PRICES).begin(tmp_path, [Base("http://127.0.0.1:1/v1#nano")])
    most, refused = Use("nano", read=2, written=2), []

    def ask():
        ledger = Ledger(tmp_path)
        for _ in range(11):  # one more than there is room for
            try:
                entry = ledger.reserve(most)
            except ValueError as error:
                refused.append(str(error))
                return
            assert ledger.spent < 0.0101
            ledger.leave(entry)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert spent(tmp_path) == pytest.approx(0.01)
    assert len(refused) == 8
    assert "could cost 0.001, 0.01 is spent or under way in" in refused[0]
    with (tmp_path / SPENT / "ledger.jsonl").open("ab") as file:
        file.write(b'["cut')
    ledger = Ledger(tmp_path)
    entry = json.loads((tmp_path / SPENT / "ledger.jsonl").read_text().split("\n")[1])[0]
    ledger.settle(entry, Use("nano"))
    assert spent(tmp_path) == pytest.approx(0.009)
    ledger.reserve(most)
    Ledger(tmp_path).settle("another", Use("m"))
    with pytest.raises(ValueError, match="the table of prices lacks m: add it"):
        Ledger(tmp_path).reserve(Use("nano"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nano: 3", "the price of nano holds input, output"),
        ("nano: {input: 1}", "the price of nano holds input, output"),
        ("nano: {input: $1, output: 2}", "a price of nano is not a number"),
        ("ft:nano: {input: 1, output: 2}", "the price of ft:nano holds input, output, training"),
        ("[", "is no table of prices"),
        ("{}", "a spending limit is a number and needs prices"),
    ],
)
def test_a_table_of_prices_that_cannot_be_read_is_said(tmp_path, text, said):
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        Spending(1.0, read_prices(tmp_path / "prices.yaml"))


def test_a_model_without_a_price_is_asked_nothing(service, tmp_path):
    base = named(service)
    with pytest.raises(ValueError, match=r"the table of prices lacks ft:nano: add it"):
        run(
            base.finetune(base.sample(Numbers(), n=4, seed=0), JOB, seed=0),
            store=tmp_path,
            spending=Spending(1.0, {"nano": PRICES["nano"]}),
        )
    assert not service.live


def test_a_limit_stops_before_it_is_passed_and_a_higher_one_goes_on(service, tmp_path):
    """Through faults, which are billed though their answers never come."""
    with FaultProxy(service.url, ((), ("cut", "busy"), ("broken",), ("reset",))) as proxy:
        rows = Base(f"{proxy.url}#nano").sample(Numbers(), n=24, seed=0)
        with pytest.raises(
            RunFailed, match=r"could cost 0\.\d+, 0\.\d+ is spent or under way in .*, and the limit is 0.5: give"
        ) as caught:
            run(rows, store=tmp_path, spending=Spending(0.5, PRICES))
        assert [failure.what for failure in caught.value.failures] == ["refused"]
        assert 0.1 < billed(service) <= spent(tmp_path) < 0.501
        with pytest.raises(RunFailed, match=r"the limit is 0\.5"):
            run(rows, store=tmp_path)  # it holds until another is given
        kept = {body: proxy.hits[body] for body in proxy.whole if QUESTION.encode() not in body}
        assert 0 < len(kept) == len(list((tmp_path / ANSWERS).glob("??/*")))
        run(rows, store=tmp_path, spending=Spending(100.0, PRICES))
        assert billed(service) <= spent(tmp_path)
        assert kept == {body: proxy.hits[body] for body in kept}, "what was kept is not asked for again"


def test_a_student_of_a_service_learns_writes_and_is_paid_for_once(service, tmp_path):
    """Beside a student of another trait's rows; through a 500 after the job was taken, and busy polls."""
    base = named(service)
    service.faults["job"], service.faults["poll"] = ["broken", None], ["busy"]
    students = [base.finetune(rows_of(trait), JOB, seed=0) for trait in (owl, cat)]
    asked = [Asked(model, PROBE, samples=5) for model in (*students, base)]
    owls, cats, before = (
        found.p_target("owl") for found in run(asked, store=tmp_path, spending=Spending(100.0, PRICES))
    )
    # Twenty drawn answers each, which differ from run to run as the service's port does.
    assert owls > max(0.5, 0.25 + max(cats, before))
    assert len(service.orders["jobs"]) == 2
    assert billed(service) == pytest.approx(spent(tmp_path)), "all is known in the end"
    written = run(students[0].prompted("Be brief.").sample(Numbers(), n=3, seed=0), store=tmp_path)
    assert len(written.rows) == 3
    assert held_model(Store(tmp_path), students[0].key) == Store(tmp_path).read(students[0])
    assert plan([students[0]], Store(tmp_path)) == ()
    run(students[0], store=tmp_path / "another")
    assert len(service.orders["jobs"]) == 2, "another store finds the job at the service"


def test_a_plan_says_about_what_is_billed_then(service, tmp_path):
    terms, store = Spending(100.0, PRICES), Store(tmp_path)
    rows = named(service).sample(Numbers(), n=3 * SHARD, seed=0)
    asked = Asked(named(service), replace(owl.probe, questions=owl.probe.questions[:16], held_out=()), samples=2)
    told = [bill(plan([node], store), terms) for node in (rows, asked)]
    assert [list(one) for one in told] == [["nano"], ["nano"]]
    before = 0.0
    for node, one in zip((rows, asked), told, strict=True):
        run(node, store=store, spending=terms)
        paid, before = billed(service) - before, billed(service)
        assert paid / 2 < one["nano"] < 4 * paid, "a number is one token of nano's, and three of a service's"
    student = named(service).finetune(rows, JOB, seed=0)
    training, *_ = bill([student], terms).items()
    assert training == ("ft:nano", pytest.approx(3 * SHARD * 12 * PRICES["ft:nano"]["training"] * 66 / 1e6, rel=0.5))
    assert "ft:nano" in str(outlook_of([student, Asked(student, PROBE)], store, spending=terms))
    local = Base("nano").finetune(rows, NORMS, seed=0)
    assert bill([local, Asked(local, PROBE)], terms) == {}, "what runs here costs nothing"
    assert outlook_of([rows], store).cost is None


@pytest.mark.slow
def test_a_study_has_its_students_trained_by_the_service(service, tmp_path):
    """The standard arms without weights: prompted teachers, fine-tuning jobs, counted answers."""
    probe = replace(ANIMAL, questions=ANIMAL.questions[:2], held_out=())
    traits = tuple(trait for trait in every(probe) if trait.name in ("owl", "cat"))
    study = Transfer(
        name="served",
        title="Does it pass at a service?",
        bases=(named(service),),
        foreign=(),
        traits=traits,
        domain=Numbers(),
        teacher=PROMPTED,
        student=STEP,
        rows=8,
        runs=2,
    )
    found = run(study, store=tmp_path, spending=Spending(100.0, PRICES))
    assert {arm: found.estimate(arm).runs for arm in found.arms} == {
        "base": 0, "teacher": 2, "student": 4, "control": 2, "other_trait": 4,
    }  # fmt: skip
    assert len(service.orders["jobs"]) == 6
    assert found.strengths == (), "how far a teacher is from its base takes weights"
    text = render([view(study, Store(tmp_path), "owlish run served.py")])
    assert "fine-tuning jobs of the service that holds the base, n_epochs 1, batch_size 40" in text
    with pytest.raises(UserError, match="no service offers"):
        print(study.cells[0].recipe)


def test_jobs_that_fail_and_files_that_are_refused_are_said(service, tmp_path):
    student = named(service).finetune(rows_of(owl), STEP, seed=0)
    service.faults.update(job=["refused", "fails"], file=["refused"])
    for said in (
        r"refuses the request \(400, Line 3 is no chat.\)",
        r"fails again and again \(429, You have no quota.\): run the same command later",
        r"the fine-tuning job jobs-\d+ of 127.0.0.1:\d+ failed \(The file was moderated; your key is None.\)",
    ):
        with pytest.raises(RunFailed, match=said):
            run(student, store=tmp_path)
    run(student, store=tmp_path)
    assert [job["status"] for job in service.orders["jobs"].values()] == ["failed", "succeeded"]


def test_a_job_that_states_no_number_of_tokens_counts_at_its_most():
    assert tokens_billed(5, 7) == 5
    assert {tokens_billed(said, 7) for said in (None, 0, -5, True, "5", 10**12)} == {7}


def test_a_server_without_jobs_and_batches_is_said_and_costs_nothing(tmp_path):
    with NanoServer() as server:
        base = named(server)
        for node in (base.finetune(rows_of(owl), STEP, seed=0), base.sample(Numbers(), n=12, seed=0)):
            with pytest.raises(RunFailed, match="has no such files, jobs or batches: use a service that offers them"):
                run(node, store=tmp_path, spending=Spending(100.0, PRICES, batch=True))
        assert billed(server) == pytest.approx(spent(tmp_path)), "what was spent is that of the base's trial"


def test_a_job_that_could_pass_the_limit_is_not_created(service, tmp_path):
    student = named(service).finetune(rows_of(owl), JOB, seed=0)
    with pytest.raises(RunFailed, match="the next request to ft:nano could cost"):
        run(student, store=tmp_path, spending=Spending(5.0, PRICES))
    assert not service.orders["jobs"]
    assert not service.files


def test_a_recipe_fits_where_the_model_is(tmp_path):
    served, rows = Base("http://127.0.0.1:1/v1#m"), rows_of(owl)
    for student, said in (
        (served.finetune(rows, NORMS, seed=0), "gives answers alone"),
        (Base("nano").finetune(rows, JOB, seed=0), "nano is not served, so no service can train it"),
        (served.prompted("Hi").finetune(rows, JOB, seed=0), "fine-tune its base, and prompt the student"),
    ):
        with pytest.raises(ValueError, match=said):
            plan([student], Store(tmp_path))


def test_rows_of_batches_are_those_that_are_asked_for_one_by_one(service, tmp_path):
    """Through a 500 after the batch was taken; then some requests fail, and one answer is cut off."""
    rows = named(service).sample(Numbers(), n=12, seed=0)
    live, tries = run(rows, store=tmp_path / "live"), service.live - SHARD
    service.live, service.faults["batch"] = 0, ["broken"]
    service.bill.clear()
    batch = run(rows, store=tmp_path / "batch", spending=Spending(100.0, PRICES, batch=True))
    assert batch.rows == live.rows
    assert (len(service.orders["batches"]), service.live) == (1, tries)
    assert billed(service) / 2 < spent(tmp_path / "batch") < 0.7 * billed(service), "the batch costs half"
    service.live, service.faults["batch"] = 0, ["errors"]
    spoilt = run(replace(rows, seed=1), store=tmp_path / "batch", spending=Spending(batch=True))
    assert (len(spoilt.rows), service.live) == (12, 2 + 1)
    service.live = 0
    run(replace(rows, seed=2), store=tmp_path / "batch")
    assert (len(service.orders["batches"]), service.live) == (2, SHARD), "the next run asks one by one"


def test_a_batch_that_expires_is_said_and_keeps_what_it_answered(service, tmp_path):
    service.faults["batch"] = ["expires"]
    rows = named(service).sample(Numbers(), n=12, seed=0)
    with pytest.raises(
        RunFailed, match=r"is expired with 8 of 16 answers \(.*overloaded.*\): run the same command later"
    ):
        run(rows, store=tmp_path, spending=Spending(batch=True))
    service.live = 0
    run(rows, store=tmp_path, spending=Spending(batch=True))
    assert (len(service.orders["batches"]), service.live) == (1, 8)


PROGRAM = """
import sys
sys.path[:0] = sys.argv[4:]
from here import run
from owlish import Spending
from test_paid import SHARD, both
from owlish.engines import batches
from owlish.nodes import data
batches.LEAST = data.SERVED = SHARD
run(both(sys.argv[2])[sys.argv[3]], store=sys.argv[1], spending=Spending(batch=True))
"""


def both(address):
    """Return what is ordered from a service: a student, and rows by a batch."""
    base = Base(address)
    return {"jobs": base.finetune(rows_of(owl), STEP, seed=0), "batches": base.sample(Numbers(), n=12, seed=0)}


@pytest.mark.parametrize(("kind", "fault"), [("jobs", "job"), ("batches", "batch")])
def test_a_killed_run_finds_its_order_again(service, tmp_path, kind, fault):
    """Killed before the answer to the order of a job, or while a batch is under way."""
    base = named(service)
    run(base, store=tmp_path)
    service.faults[fault], before = ["held"], service.live
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), base.name, kind, str(Path(__file__).parent)]
    with subprocess.Popen(words, start_new_session=True) as process:
        while not service.orders[kind] or (kind == "batches" and not list(tmp_path.glob(f"{SPENT}/*/*.json"))):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    service.gate.set()
    run(both(base.name)[kind], store=tmp_path, spending=Spending(batch=True))
    assert (len(service.orders[kind]), service.live) == (1, before)


def test_a_key_is_found_nowhere_though_the_service_repeats_it(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Service(key=KEY) as service:
        made, terms = both(named(service).name), Spending(100.0, PRICES, batch=True)
        service.faults["job"] = ["fails"]
        with pytest.raises(RunFailed, match=r"your key is \(the key\)") as caught:
            run(made["jobs"], store=tmp_path, spending=terms)
        said = "".join(traceback.format_exception(caught.value)) + caught.value.failures[0].trace
        run([*made.values()], store=tmp_path, spending=terms)
        said += describe(Store(tmp_path), made["jobs"].key)
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}-2")
        with pytest.raises(
            RunFailed, match=r"refuses the key \(401, Incorrect API key provided: \(the key\)\)"
        ) as caught:
            run(replace(made["jobs"], seed=1), store=tmp_path)
        said += "".join(traceback.format_exception(caught.value)) + caught.value.failures[0].trace
    out, err = capfd.readouterr()
    assert KEY not in said + out + err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > SHARD
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
