"""The example browser in Chromium and Firefox: filters, links, keyboard and back, in one
visit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltatune.report import page
from deltatune.report.data import ReportData
from deltatune.report.examples import ExampleTable
from made_reports import TEMPLATE
from test_report_examples import table

# What a reader does, step by step, and what is there after each.
VISIT = """async () => {
  const until = async (reached) => {
    for (let turn = 0; !reached() && turn < 2000; turn += 1) {
      await new Promise((done) => setTimeout(done, 10));
    }
  };
  const one = (selector) => document.querySelector(`#browser ${selector}`);
  const result = {};
  const say = (name, more) => { result[name] = [one("output").textContent, location.hash, more]; };
  await until(() => document.getElementById("browser").dataset.ready);
  const put = (name, value) => {
    const control = one(`[name=${name}]`);
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const press = (key) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true }));
  const place = () => document.activeElement.parentElement.getAttribute("aria-posinset");
  say("link", [document.activeElement.getAttribute("aria-expanded"), one(".body").textContent]);
  result.nodes = document.getElementsByTagName("*").length;
  put("q", "ünïcode 17");
  say("search");
  one("[name=clear]").click();
  const bar = one(".histogram button:enabled");
  bar.click();
  say("bar", bar.getAttribute("aria-label"));
  history.back();
  await until(() => !location.hash.includes("min="));
  await until(() => one("output").textContent.startsWith("1,000 "));
  say("back");
  one(".head").focus();
  press("j"); press("ArrowDown"); press("k");
  say("keys", place());
  press("End");
  say("end", [place(), document.activeElement.isConnected]);
  document.activeElement.click();
  say("open", [place(), document.activeElement.nextElementSibling.className]);
  location.hash = "#example-questions-none";
  await until(() => one("output").textContent.includes("none"));
  say("missing");
  document.querySelector("a[data-examples]").click();
  await until(() => location.hash.startsWith("#examples?"));
  say("matrix", one("[name=experiment]").value);
  const heads = () => [...document.querySelectorAll("#browser .head")].slice(0, 6).map((head) => [
    head.querySelector(".delta").textContent, head.querySelector(".excerpt").textContent]);
  result.orders = {};
  for (const order of ["loss", "length", "id", "record", "gain"]) {
    put("sort", order);
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    result.orders[order] = [location.hash, heads()];
  }
  result.images = document.querySelectorAll("#browser img, #browser script").length;
  return result;
}"""


def thousand() -> ExampleTable:
    """One prompt of it is hostile."""
    made = table(1000, names=("a", "b"), tested=1500)
    made.records.loc[0, "prompt"] = "<img src=x onerror=alert(1)></script>"
    return made


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def visit(request, tmp_path_factory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("examples")
    hostile = thousand()
    experiment = {"task": "questions", "outputs": "answers", "main_metric": "rouge_l"}
    experiments = {"a": {**experiment, "seeds": [1, 2]}, "b": {**experiment, "seeds": [1, 2]}}
    html = page.render(ReportData([], experiments, examples=[hostile]), TEMPLATE)
    link = '<a data-examples="#examples?experiment=b&amp;task=questions" href="#results">b</a>'
    file = folder / "page.html"
    file.write_text(html.replace("</body>", f"{link}</body>"), encoding="utf-8")
    browser = request.getfixturevalue(request.param)
    with browser.open(file, fragment="#example-questions-140?experiment=b") as opened:
        result = opened.evaluate(VISIT)
        assert opened.problems() == opened.requests() == []
    return result


def test_a_link_opens_its_example_whatever_filter_there_was(visit):
    shown, address, (expanded, body) = visit["link"]
    assert shown == "1,000 of 1,000 carried, of 1,500 tested"
    assert address == "#example-questions-140?experiment=b"
    assert expanded == "true" and "prompt, questions 140" in body and "tuned, seed 2" in body
    assert visit["missing"][0] == "Example questions-none is not carried on this page."


def test_the_list_is_a_small_part_of_the_page(visit):
    assert visit["nodes"] < 800
    assert visit["images"] == 0


def test_filters_stand_in_the_address_and_come_back(visit):
    # 17, 117, 170 to 179, 217 and so on: as a word's part, of numbers and of ids.
    shown, address, _ = visit["search"]
    assert "of 1,000 carried" in shown and "q=%C3%BCn%C3%AFcode+17" in address
    assert 10 < int(shown.split()[0]) < 100
    shown, address, bar = visit["bar"]
    assert shown.split()[0] == bar.split()[0] and "min=" in address
    assert visit["back"][0].split()[0] == "1,000" and "min=" not in visit["back"][1]
    assert visit["matrix"][1:] == ["#examples?experiment=b&task=questions", "b"]


def test_the_keyboard_moves_in_the_list(visit):
    assert visit["keys"][2] == "2"
    assert visit["end"][2] == ["1000", True]
    assert visit["open"][2] == ["1000", "body"]


def test_the_order_is_the_chosen_one_and_stands_in_the_address(visit):
    shown, orders = thousand(), visit["orders"]
    prompts = {order: [text for _, text in heads] for order, (_, heads) in orders.items()}
    tuned = sum(system["score"] for system in shown.tuned["b"].values()) / 2
    gains = tuned - shown.base["score"]
    for order, keys in (("gain", -gains), ("loss", gains)):
        # Equal ones stay as they are in the data.
        best = keys.sort_values(kind="stable").index[:6]
        assert prompts[order] == list(shown.records["prompt"][best])
        most = f"{gains[best[0]]:+.2f}".replace("-", "\N{MINUS SIGN}")
        assert [delta for delta, _ in orders[order][1]] == [most] * 6
    for order in ("id", "record"):
        assert prompts[order] == list(shown.records["prompt"][:6])
    # Those with three digits twice in the answer.
    assert all(int(text.split()[1].rstrip(":")) >= 100 for text in prompts["length"])
    assert [address.partition("sort=")[2] for address, _ in orders.values()] == [
        *("loss", "length", "id", "record"),
        "",
    ]
