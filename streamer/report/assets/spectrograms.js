// Spectrograms on canvas, and the scales beside them.

const TIME_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
const SCALE_HZ = [100, 1000, 10000];

// One pixel for each level; the browser scales it to the canvas' place.
function drawSpectrogram(canvas, signal, levels, columnCount, hex) {
  const { bands, columns } = signal;
  const source = new OffscreenCanvas(Math.max(1, columns), Math.max(1, bands));
  const context = source.getContext("2d");
  const picture = context.createImageData(source.width, source.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const ramp = colourRamp(hex);
  pixels.fill(ramp[0]);
  for (let band = 0; band < bands; band++) {
    const line = (bands - 1 - band) * columns;
    for (let column = 0; column < columns; column++) pixels[line + column] = ramp[levels[band * columns + column]];
  }
  context.putImageData(picture, 0, 0);
  canvas.width = Math.max(2, columns);
  canvas.height = source.height;
  // The last column may reach past the end.
  const shown = Math.min(source.width, columnCount || 1);
  canvas.getContext("2d").drawImage(source, 0, 0, shown, source.height, 0, 0, canvas.width, canvas.height);
}

function frequencyScale(bandHz) {
  const height = (hz) => (Math.log2(hz / bandHz[0]) / Math.log2(bandHz[1] / bandHz[0]) + 0.5) / bandHz.length;
  const labels = SCALE_HZ.filter((hz) => hz < bandHz.at(-1)).map((hz) =>
    element("span", { style: { bottom: `${100 * height(hz)}%` }, textContent: hertz(hz) }),
  );
  return element("div", { className: "scale", "aria-hidden": "true" }, ...labels);
}

// Where something else than the final result is heard. A block brings what came in one latency before it.
function lostStretches({ block_times, block_frames, sample_rate, latency, duration_s }) {
  const bucketS = (block_times.blocks_per_bucket * block_frames) / sample_rate;
  const stretches = [];
  block_times.missed.forEach((misses, index) => {
    if (!misses) return;
    const from = Math.max(0, index * bucketS - latency.ms / 1000);
    const to = Math.min(duration_s, (index + 1) * bucketS - latency.ms / 1000);
    if (to <= from) return;
    const last = stretches.at(-1);
    if (last && from - last.to < bucketS / 2) last.to = to;
    else stretches.push({ from, to });
  });
  return stretches;
}

function drawRuler(ruler, report) {
  const durationS = report.duration_s;
  const most = Math.max(2, ruler.clientWidth / 64);
  const step = axisStep(durationS, most, TIME_STEPS_S);
  const marks = [];
  for (let index = 0; index * step <= durationS + 1e-9 && index < 200; index++) {
    const at = index * step;
    // A label at the very end would stick out of the page.
    if (durationS > 0 && at / durationS > 0.97 && index > 0) break;
    marks.push(
      element("span", {
        style: { left: `${durationS ? (100 * at) / durationS : 0}%` },
        textContent: clockTime(at, step < 1 ? 1 : 0),
      }),
    );
  }
  const lost = lostStretches(report).map(({ from, to }) =>
    element("i", { style: { left: `${(100 * from) / durationS}%`, width: `${(100 * (to - from)) / durationS}%` } }),
  );
  ruler.replaceChildren(...lost, ...marks);
}
