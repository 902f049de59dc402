// Puts the page of a measurement together.

const report = JSON.parse(byId("contents").textContent);
const rate = report.sample_rate;
const PART_COLOURS = { ...LATENCY_COLOURS, device: ["#4b4f52", "#c6ccd1"], ring: ["#96407f", "#e391cb"] };
const inMs = (frames) => `${exactMs(frames, rate)} ms`;

function tellHead() {
  byId("title").textContent = report.title;
  const facts = [
    report.is_simulated ? "the device is simulated, in virtual time" : report.host_api,
    `model ${report.model}`,
    `${grouped(rate)} Hz`,
    `blocks of ${grouped(report.block_frames)} frames`,
  ];
  byId("facts").replaceChildren(...facts.map((fact) => element("span", { textContent: fact })));
}

function tellFigures() {
  const { total, difference_frames: difference, sent, found, xruns } = report;
  const sign = difference > 0 ? "+" : "−";
  const figures = [
    [
      "Measured", total ? exactMs(total.median_frames, rate) : "–", "ms",
      `the median; promised are ${inMs(report.promised_frames)}`, "",
    ],
    [
      "Against the promise",
      difference === null ? "–" : difference ? sign + grouped(Math.abs(difference)) : "0",
      "frames",
      difference === null ? "nothing came back" : difference ? `${sign}${inMs(Math.abs(difference))}` : "as promised, to the frame",
      difference === 0 ? "good" : "",
    ],
    [
      "Spread, p5 to p95", total ? exactMs(total.spread_frames, rate) : "–", "ms",
      total ? `p95 ${inMs(total.p95_frames)}, max ${inMs(total.max_frames)}` : "nothing came back", "",
    ],
    [
      "Probes that came back", grouped(found), `of ${grouped(sent)}`,
      xruns.length ? counted(xruns.length, "xrun") : "no xrun", found === sent ? "good" : "bad",
    ],
  ];
  byId("figures").replaceChildren(
    ...figures.map(([name, value, unit, also, kind]) =>
      element(
        "div", { className: `figure ${kind}` },
        element("dt", { textContent: name }),
        element("dd", { className: "value" }, value, element("small", { textContent: ` ${unit}` })),
        element("dd", { className: "also", textContent: also }),
      ),
    ),
  );
}

const cell = (textContent) => element("td", { textContent });
const firstCell = (textContent) => element("th", { textContent, scope: "row" });

function tellRows() {
  const rows = report.rows.map(({ name, depth, promised_frames: promised, measured, remark }) =>
    element(
      "tr", { className: depth ? "part" : "whole" },
      firstCell(name), cell(grouped(promised)), cell(exactMs(promised, rate)),
      cell(measured ? grouped(measured.median_frames) : "–"), cell(measured ? exactMs(measured.median_frames, rate) : "–"),
      cell(remark),
    ),
  );
  byId("rows").tBodies[0].replaceChildren(...rows);
}

function tellEvents() {
  const probes = report.trips.map((trip) => [
    trip.at_s, trip.frames, trip.strength, trip.frames === null ? "a probe that did not come back" : "probe",
  ]);
  const xruns = report.xruns.map((xrun) => [
    xrun.at_s, null, null, `xrun: ${xrun.kind}${xrun.frames ? `, ${counted(xrun.frames, "frame")} lost` : ""}`,
  ]);
  const rows = [...probes, ...xruns]
    .sort((a, b) => a[0] - b[0])
    .map(([seconds, frames, strength, what]) =>
      element(
        "tr", {},
        firstCell(seconds.toFixed(3)), cell(frames === null ? "–" : grouped(frames)),
        cell(frames === null ? "–" : exactMs(frames, rate)), cell(strength === null ? "–" : strength.toFixed(2)), cell(what),
      ),
    );
  byId("events").tBodies[0].replaceChildren(...rows);
}

function nameCharts() {
  const { total, found, sent, xruns } = report;
  const range = total ? `from ${inMs(total.min_frames)} to ${inMs(total.max_frames)}, half within ${inMs(total.median_frames)}` : "none";
  byId("histogram").setAttribute(
    "aria-label", `Histogram of ${counted(found, "round trip")}: ${range}; promised are ${inMs(report.promised_frames)}`,
  );
  byId("timeline").setAttribute(
    "aria-label",
    `Round trips over ${report.duration_s.toFixed(1)} s: ${grouped(found)} of ${counted(sent, "probe")} came back, ` +
      `${counted(xruns.length, "xrun")}; the table below holds each of them`,
  );
  byId("histogram-note").textContent = report.histogram
    ? `${counted(found, "probe")}; a bar for each ${report.histogram.bin_frames === 1 ? "frame" : `${grouped(report.histogram.bin_frames)} frames`}`
    : "nothing came back";
  byId("timeline-note").textContent = `by the time that a probe was sent; ${xruns.length ? counted(xruns.length, "xrun") : "no xrun"}`;
  byId("parts-note").textContent = `promised ${inMs(report.promised_frames)}; the device's part: ${report.device_source}`;
}

function paintParts() {
  const parts = report.parts.map((part) => ({
    name: part.name,
    amount: part.frames,
    text: `${milliseconds(toMs(part.frames, rate))} ms`,
    detail: `${inMs(part.frames)} · ${grouped(part.frames)} frames`,
    meaning: part.meaning,
  }));
  const label = `Promised ${inMs(report.promised_frames)}: ${parts.map((part) => `${part.name} ${part.text}`).join(", ")}`;
  showStack(byId("parts-bar"), byId("parts-list"), parts, PART_COLOURS, label);
  hideTightLabels(byId("parts-bar"));
}

function paintCharts() {
  paintHistogram(byId("histogram"), report);
  paintTimeline(byId("timeline"), report);
}

function paintPage() {
  paintParts();
  paintCharts();
}

applyTheme(themeNow());
tellHead();
tellFigures();
tellRows();
tellEvents();
nameCharts();
showMachine(report);
paintPage();
new ResizeObserver(paintCharts).observe(byId("timeline"));
new ResizeObserver(() => hideTightLabels(byId("parts-bar"))).observe(byId("parts-bar"));
followTheme(paintPage);
