// The time that each block took, over the recording, against the length of a block; and the same in three numbers.

class BlockChart {
  #report;
  #canvas = byId("blocks");
  #cursor = byId("blocks-cursor");
  #readout = byId("blocks-readout");
  #box = null;
  #chosen = null;

  constructor(report) {
    this.#report = report;
    const { process_ms, misses, blocks, is_realtime } = report;
    const { blocks_per_bucket } = report.block_times;
    this.#canvas.setAttribute(
      "aria-label",
      `Time for each of ${counted(blocks, "block")}: half took ${milliseconds(process_ms.p50)} ms at most, the longest ` +
        `${milliseconds(process_ms.max)} ms; a block lasts ${milliseconds(process_ms.deadline)} ms; ${grouped(misses)} misses`,
    );
    byId("blocks-note").textContent =
      (is_realtime ? "process(), which never waits for the model" : "process(), which waited for the model") +
      (blocks_per_bucket > 1 ? `; the longest of each ${grouped(blocks_per_bucket)} blocks` : "");
    new ResizeObserver(() => this.paint()).observe(this.#canvas);
    this.#canvas.addEventListener("pointermove", (event) => this.#choose(this.#bucketAt(event)));
    this.#canvas.addEventListener("pointerdown", (event) => this.#choose(this.#bucketAt(event)));
    this.#canvas.addEventListener("pointerleave", () => this.#choose(null));
    this.#canvas.addEventListener("blur", () => this.#choose(null));
    this.#canvas.addEventListener("keydown", (event) => this.#step(event));
    this.#tell();
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const { longest_ms, missed } = this.#report.block_times;
    const { deadline } = this.#report.process_ms;
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = Math.max(1, Math.round(height * ratio));
    const context = this.#canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const gutter = (width < 700 ? 2.4 : 2.9) * rem;
    const box = (this.#box = { left: gutter, right: width, top: 20, bottom: height - 20 });
    const axis = timeAxis(longest_ms, deadline);
    const y = (ms) => box.bottom - axis.place(ms) * (box.bottom - box.top);
    const count = Math.max(1, longest_ms.length);
    const step = (box.right - box.left) / count;

    context.fillStyle = themeColour("well");
    context.fillRect(box.left, 0, box.right - box.left, box.bottom);
    context.textBaseline = "middle";
    for (const ms of axis.marks) {
      context.fillStyle = themeColour("line");
      context.fillRect(box.left, Math.round(y(ms)), box.right - box.left, 1);
      context.fillStyle = themeColour("quiet");
      context.textAlign = "right";
      context.fillText(`${ms}`, box.left - 7, Math.min(box.bottom - 5, y(ms)));
    }
    context.textAlign = "left";
    context.fillText("ms", 0, 8);

    const [within, over] = [themeColour("bar"), themeColour("over")];
    const bar = (x, breadth, ms) => {
      context.fillStyle = ms > deadline ? over : within;
      context.fillRect(x, y(ms), breadth, box.bottom - y(ms));
    };
    const gap = step >= 4 ? 1 : 0;
    if (step >= 1) {
      longest_ms.forEach((ms, index) => {
        bar(box.left + index * step, step - gap, ms);
      });
    } else {
      // More blocks than pixels: the longest of each pixel.
      const pixels = new Float64Array(Math.ceil(box.right - box.left));
      longest_ms.forEach((ms, index) => {
        const pixel = Math.floor(index * step);
        pixels[pixel] = Math.max(pixels[pixel], ms);
      });
      pixels.forEach((ms, pixel) => ms && bar(box.left + pixel, 1, ms));
    }

    context.strokeStyle = themeColour("text");
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(box.left, Math.round(y(deadline)) + 0.5);
    context.lineTo(box.right, Math.round(y(deadline)) + 0.5);
    context.stroke();
    context.setLineDash([]);
    const label = `deadline ${milliseconds(deadline)} ms`;
    const breadth = context.measureText(label).width;
    context.fillStyle = themeColour("well");
    context.fillRect(box.right - breadth - 10, y(deadline) - 17, breadth + 8, 15);
    context.fillStyle = themeColour("text");
    context.textAlign = "right";
    context.fillText(label, box.right - 6, y(deadline) - 9);

    context.fillStyle = themeColour("bad");
    const lines = new Set();
    let marks = 0;
    missed.forEach((misses, index) => {
      if (!misses) return;
      const x = box.left + (index + 0.5) * step;
      context.beginPath();
      context.moveTo(x - 4, 0);
      context.lineTo(x + 4, 0);
      context.lineTo(x, 9);
      context.fill();
      lines.add(Math.floor(x));
      marks += 1;
    });
    context.globalAlpha = 0.3;
    for (const x of lines) context.fillRect(x, 0, 1, box.bottom);
    context.globalAlpha = 1;
    this.#canvas.dataset.marks = String(marks);
    this.#drawTimes(context, height);
    this.#choose(this.#chosen);
  }

  #drawTimes(context, height) {
    const { duration_s } = this.#report;
    const { left, right } = this.#box;
    const step = axisStep(duration_s, Math.max(2, (right - left) / 64), TIME_STEPS_S);
    context.fillStyle = themeColour("quiet");
    for (let index = 0; index * step < 0.97 * duration_s && index < 200; index++) {
      const x = left + ((right - left) * index * step) / duration_s;
      context.textAlign = index ? "center" : "left";
      context.fillText(clockTime(index * step, step < 1 ? 1 : 0), x, height - 8);
    }
  }

  #bucketAt(event) {
    const x = event.clientX - this.#canvas.getBoundingClientRect().left;
    const count = this.#report.block_times.longest_ms.length;
    const { left, right } = this.#box;
    return count && x >= left ? Math.min(count - 1, Math.floor(((x - left) / (right - left)) * count)) : null;
  }

  #step(event) {
    const count = this.#report.block_times.longest_ms.length;
    const next = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50 }[event.key];
    if (!next || !count) return;
    event.preventDefault();
    this.#choose(Math.min(count - 1, Math.max(0, (this.#chosen ?? -next) + next)));
  }

  #choose(bucket) {
    this.#chosen = bucket;
    this.#cursor.hidden = bucket === null || !this.#box;
    if (!this.#cursor.hidden) {
      const { left, right } = this.#box;
      const count = this.#report.block_times.longest_ms.length;
      this.#cursor.style.left = `${left + ((bucket + 0.5) / count) * (right - left)}px`;
    }
    this.#tell();
  }

  #tell() {
    const { block_times, process_ms, blocks, block_frames, sample_rate, misses, is_realtime } = this.#report;
    const bucket = this.#chosen;
    if (bucket === null) {
      this.#readout.textContent = misses
        ? `${grouped(misses)} of ${counted(blocks, "block")} missed, each marked by a red triangle`
        : is_realtime
          ? `None of ${counted(blocks, "block")} missed`
          : counted(blocks, "block");
      return;
    }
    const size = block_times.blocks_per_bucket;
    const [first, last] = [bucket * size, Math.min(blocks, (bucket + 1) * size) - 1];
    const named = first === last ? `block ${grouped(first)}` : `blocks ${grouped(first)} to ${grouped(last)}`;
    const missed = block_times.missed[bucket];
    this.#readout.textContent =
      `${clockTime((first * block_frames) / sample_rate, 2)} · ${named} · ` +
      `${milliseconds(block_times.longest_ms[bucket])} ms of ${milliseconds(process_ms.deadline)} ms` +
      (missed ? ` · ${size > 1 ? `${grouped(missed)} missed` : "missed"}` : "");
  }
}

// From zero where the times and the deadline can be seen together, else in powers of ten.
function timeAxis(times, deadline) {
  const sorted = times.filter((ms) => ms > 0).sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? deadline / 2;
  const top = 1.25 * Math.max(deadline, sorted.at(-1) ?? 0);
  if (deadline / middle < 8 && top / middle < 30) {
    const unit = 10 ** Math.floor(Math.log10(top));
    const step = axisStep(top, 5, [unit / 10, unit / 5, unit / 2, unit, 2 * unit, 5 * unit]);
    const marks = [];
    for (let index = 0; index * step <= top; index++) marks.push(Number((index * step).toPrecision(6)));
    return { marks, place: (ms) => ms / top };
  }
  const low = 10 ** Math.floor(Math.log10(0.7 * (sorted[Math.floor(sorted.length / 50)] ?? middle)));
  const marks = [];
  for (let ms = low; ms <= top; ms *= 10) marks.push(Number(ms.toPrecision(1)));
  return { marks, place: (ms) => Math.max(0, Math.log(Math.max(ms, low) / low) / Math.log(top / low)) };
}

function showGauges(report) {
  const { model_ms, process_ms, is_realtime, longest_lag_ms } = report;
  const gauges = [
    ["Model, for each window", model_ms, `${milliseconds(model_ms.deadline)} ms between two windows`, ""],
    [
      "process(), for each block", process_ms, `${milliseconds(process_ms.deadline)} ms in a block`,
      is_realtime ? `The latest block came ${milliseconds(longest_lag_ms)} ms after it was due.` : "",
    ],
  ];
  byId("gauges").replaceChildren(
    ...gauges.map(([name, times, deadline, also]) => {
      const full = Math.max(times.deadline, times.max) * 1.02 || 1;
      const share = (ms) => `${(100 * ms) / full}%`;
      const numbers = `half within ${milliseconds(times.p50)} ms, 99 % within ${milliseconds(times.p99)} ms, the longest ${milliseconds(times.max)} ms`;
      return element(
        "div",
        { className: "gauge" },
        element(
          "div", { className: "gauge-head" },
          element("b", { textContent: name }), element("span", { className: "quiet", textContent: deadline }),
        ),
        element(
          "div", { className: "gauge-bar", role: "img", "aria-label": `${name}: ${numbers}; ${deadline}` },
          element("i", { className: "p99", style: { width: share(times.p99) } }),
          element("i", { className: "p50", style: { width: share(times.p50) } }),
          element("i", { className: "max", style: { left: share(times.max) } }),
          element("i", { className: "deadline", style: { left: share(times.deadline) } }),
        ),
        element("p", { textContent: also ? `${numbers}. ${also}` : numbers }),
      );
    }),
  );
}
