// Everything that is told in words, numbers and bars.

function showHead(report) {
  byId("title").textContent = report.title;
  const sound = report.channels === 1 ? "mono" : report.channels === 2 ? "stereo" : `${report.channels} channels`;
  const facts = [
    `model ${report.model}`,
    `${clockTime(report.duration_s, report.duration_s < 1 ? 2 : 1)} ${sound}`,
    `${grouped(report.sample_rate)} Hz`,
    `blocks of ${grouped(report.block_frames)} frames`,
    report.is_realtime ? "played at the pace of the clock" : "played as fast as the model is",
  ];
  byId("facts").replaceChildren(...facts.map((fact) => element("span", { textContent: fact })));
}

function showFigures(report) {
  const { latency, misses, blocks, coverage, model_ms, process_ms, is_realtime } = report;
  const spare = model_ms.p99 / model_ms.deadline;
  // Of nothing, no share was separated.
  const separated = report.frames ? [percent(coverage), "%"] : ["–", ""];
  const hasTimeForModel = is_realtime || latency.parts.some((part) => part.name === "compute" && part.frames);
  const figures = [
    [
      "Latency", latency.ms.toFixed(1), "ms",
      hasTimeForModel ? "the same from the first block to the last" : "with no time for the model, as blocks waited for it",
      "",
    ],
    [
      "Blocks missed",
      grouped(misses),
      `of ${grouped(blocks)}`,
      !is_realtime ? "blocks waited for the model" : misses ? "no final result was there in time" : "every result was there in time",
      misses ? "bad" : "good",
    ],
    [
      "Coverage", ...separated, "of the sound was really separated",
      !report.frames ? "" : coverage >= 1 ? "good" : coverage < 0.99 ? "bad" : "",
    ],
    is_realtime
      ? [
          "Model, p99",
          milliseconds(model_ms.p99),
          "ms",
          `${(100 * spare).toFixed(0)} % of the ${milliseconds(model_ms.deadline)} ms between two windows`,
          spare > 1 ? "bad" : "",
        ]
      : [
          "Real-time factor",
          report.real_time_factor.toFixed(3),
          "",
          `block p99 ${milliseconds(process_ms.p99)} ms, of a block of ${milliseconds(process_ms.deadline)} ms`,
          report.real_time_factor > 1 ? "bad" : "",
        ],
  ];
  byId("figures").replaceChildren(
    ...figures.map(([name, value, unit, also, kind]) =>
      element(
        "div",
        { className: `figure ${kind}` },
        element("dt", { textContent: name }),
        element("dd", { className: "value" }, value, ...(unit ? [element("small", { textContent: ` ${unit}` })] : [])),
        element("dd", { className: "also", textContent: also }),
      ),
    ),
  );
}

// A bar in which each part is as long as its amount, and a list that says what each is.
function showStack(bar, list, parts, colours, label) {
  const total = parts.reduce((sum, part) => sum + part.amount, 0);
  bar.setAttribute("aria-label", label);
  const colourOf = (part) => shade(colours[part.name] ?? MORE_COLOURS[2]);
  bar.replaceChildren(
    ...parts
      .filter((part) => part.amount > 0)
      .map((part) => {
        const hex = colourOf(part);
        return element(
          "div",
          { style: { "flex": `${part.amount / total} 1 0`, "--hue": hex, "--ink": inkOn(hex) }, title: `${part.name}: ${part.text}` },
          element("span", { className: "words" }, element("b", { textContent: part.name }), part.text),
        );
      }),
  );
  list.replaceChildren(
    ...parts.map((part) =>
      element(
        "li",
        { className: part.amount ? "" : "none", style: { "--hue": colourOf(part) } },
        element("span", { className: "chip", "aria-hidden": "true" }),
        element("b", { textContent: part.name }),
        element("span", { className: "amount", textContent: part.detail }),
        element("span", { className: "meaning", textContent: part.meaning }),
      ),
    ),
  );
}

// Words stand in a bar's part only where they fit.
function hideTightLabels(bar) {
  for (const part of bar.children) {
    part.classList.remove("narrow");
    part.classList.toggle("narrow", part.scrollWidth > part.clientWidth);
  }
}

function showLatency(report) {
  const { latency, is_realtime } = report;
  const parts = latency.parts.map((part) => ({
    name: part.name,
    amount: part.frames,
    text: `${part.ms.toFixed(1)} ms`,
    detail: `${part.ms.toFixed(1)} ms · ${grouped(part.frames)} frames`,
    meaning: part.meaning,
  }));
  const label = `Latency of ${latency.ms.toFixed(1)} ms: ${parts.map((part) => `${part.name} ${part.text}`).join(", ")}`;
  byId("latency-note").textContent =
    `${latency.ms.toFixed(1)} ms = ${grouped(latency.frames)} frames` + (is_realtime ? "" : ", as blocks waited for the model");
  showStack(byId("latency-bar"), byId("latency-parts"), parts, LATENCY_COLOURS, label);
}

function showCoverage(report) {
  const total = report.rungs.reduce((sum, rung) => sum + rung.frames, 0);
  const parts = report.rungs.map((rung) => {
    const share = total ? `${percent(rung.frames / total)} %` : "0 %";
    return {
      name: rung.name, amount: rung.frames, text: share,
      detail: `${share} · ${grouped(rung.frames)} frames`, meaning: rung.meaning,
    };
  });
  byId("coverage-note").textContent = total ? `${percent(report.coverage)} % separated` : "nothing";
  const label = `What was heard: ${parts.map((part) => `${part.name} ${part.text}`).join(", ")}`;
  showStack(byId("coverage-bar"), byId("coverage-parts"), parts, RUNG_COLOURS, label);
}

function showScores(report) {
  const { scores, signals } = report;
  byId("scores").hidden = scores.length === 0;
  if (!scores.length) return;
  const finite = scores.flatMap((score) => [score.sdr_db, score.mixture_sdr_db]).map(Number).filter(Number.isFinite);
  const low = Math.floor(Math.min(0, ...finite) / 5) * 5;
  const high = Math.ceil(Math.max(5, ...finite) / 5) * 5;
  const place = (db) => `${(100 * (Math.min(high, Math.max(low, Number(db))) - low)) / (high - low)}%`;
  const marks = [];
  const step = axisStep(high - low, 8, [5, 10, 20, 50, 100]);
  for (let db = Math.ceil(low / step) * step; db <= high; db += step) marks.push(db);
  const colours = signalColours(signals);
  const cell = (text, className = "") => element("span", { role: "cell", className, textContent: text });
  const heading = (text) => element("span", { role: "columnheader", textContent: text });
  const axis = element(
    "span",
    { className: "axis", "aria-hidden": "true" },
    ...marks.map((db) => element("span", { style: { left: place(db) }, textContent: String(db).replace("-", "−") })),
  );
  const labels = element(
    "div", { className: "score labels", role: "row" },
    heading("Stem"), axis, heading("SDR"), heading("gained"), heading("SI-SDR gained"),
  );
  const rows = scores.map((score) => {
    const hex = shade(colours[signals.findIndex((signal, index) => index && signal.name === score.stem)]);
    const name = element(
      "span", { className: "strip-name", role: "rowheader" },
      element("span", { className: "chip", "aria-hidden": "true" }), element("b", { textContent: score.stem }),
    );
    const picture = element(
      "span", { className: "dumbbell", "aria-hidden": "true" },
      ...marks.map((db) => element("i", { className: db ? "grid" : "grid zero", style: { left: place(db) } })),
    );
    if (score.sdr_db !== null) {
      const [from, to] = [place(score.mixture_sdr_db), place(score.sdr_db)];
      const [left, right] = [from, to].map(parseFloat).sort((a, b) => a - b);
      picture.append(
        element("i", { className: "way", style: { left: `${left}%`, width: `${right - left}%` } }),
        element("i", { className: "from", style: { left: from }, title: `mixture ${decibels(score.mixture_sdr_db)} dB` }),
        element("i", { className: "to", style: { left: to }, title: `${decibels(score.sdr_db)} dB` }),
      );
    }
    return element(
      "div", { className: "score", role: "row", style: { "--hue": hex } },
      name, picture, cell(decibels(score.sdr_db), "strong"),
      cell(decibels(score.sdr_gain_db, true)), cell(decibels(score.si_sdr_gain_db, true)),
    );
  });
  byId("score-list").replaceChildren(labels, ...rows);
}

function showMachine(report) {
  const words = (key) => key.replaceAll("_", " ");
  const pairs = [...Object.entries(report.machine), ...Object.entries(report.versions)];
  byId("machine").replaceChildren(
    ...pairs.flatMap(([key, value]) => [
      element("dt", { textContent: words(key) }),
      element("dd", { textContent: value === null ? "not installed" : String(value) }),
    ]),
  );
}
