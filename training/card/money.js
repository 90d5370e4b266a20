// What an action is worth by the share of visits that it reaches; the same arithmetic as money.py.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("money-data").textContent);
  const field = (name) => document.getElementById("money-" + name);
  const money = (value, digits) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  function gains(captured, row, cost, value, uplift) {
    return captured.map((found, i) =>
      1000 * (uplift * value * found * row.base_rate - cost * data.shares[i]));
  }

  function update() {
    const row = data.rows[Number(field("row").value)];
    const cost = Number(field("cost").value);
    const value = Number(field("value").value);
    const uplift = Number(field("uplift").value) / 100;
    if (![cost, value, uplift].every((one) => Number.isFinite(one) && one >= 0)) return;
    const model = gains(row.model, row, cost, value, uplift);
    const baseline = gains(row.baseline, row, cost, value, uplift);
    const random = gains(data.shares, row, cost, value, uplift);
    const best = model.indexOf(Math.max(...model));
    const pays = model[best] > 0;
    const hover = data.shares.map((share, i) => "score from " + (100 * row.thresholds[i]).toPrecision(2) + " %");
    Plotly.restyle("plot-money", {
      y: [random, baseline, model, pays ? [model[best]] : [null]],
      x: [data.shares, data.shares, data.shares, [data.shares[best]]],
      text: [null, null, hover, null],
    }, [0, 1, 2, 3]);
    const all = model[model.length - 1];
    const least = uplift * value > 0 ? cost / (uplift * value) : Infinity;
    const unit = " " + data.currency + " per 1,000 visits";
    field("result").textContent = (pays
      ? "Best: act on the " + (100 * data.shares[best]).toPrecision(2) + " % of visits that score "
        + (100 * row.thresholds[best]).toPrecision(2) + " % or more, for " + money(model[best], 2) + unit
        + ". Acting on all: " + money(all, 2) + "; on as many at random: " + money(random[best], 2) + "."
      : "The action does not pay at any threshold; acting on all would cost " + money(-all, 2) + unit + ".")
      + (least <= 1
        ? " If probabilities are right, it pays from a score of " + (100 * least).toPrecision(2) + " % on."
        : " No probability is high enough for it to pay.");
  }

  ["row", "cost", "value", "uplift"].forEach((name) => field(name).addEventListener("input", update));
  update();
})();
