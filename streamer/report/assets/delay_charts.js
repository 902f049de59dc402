// The delays of probes: how often each occurred, and when.

const toMs = (frames, rate) => (1000 * frames) / rate;
const exactMs = (frames, rate) => toMs(frames, rate).toFixed(2);

// A canvas at the screen's own resolution, its ground filled, with room for the numbers at its edges.
function beginChart(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  const box = { left: 46, right: width - 1, top: 22, bottom: height - 22 };
  context.fillStyle = themeColour("well");
  context.fillRect(box.left, 0, box.right - box.left, box.bottom);
  return { context, box, height };
}

function drawDashed(context, from, to) {
  context.strokeStyle = themeColour("text");
  context.setLineDash([5, 4]);
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  context.setLineDash([]);
}

// Words over the ground of the chart, so that what is drawn beneath them does not disturb.
function drawLabel(context, text, x, y, align) {
  const breadth = context.measureText(text).width;
  const left = align === "right" ? x - breadth : align === "center" ? x - breadth / 2 : x;
  context.fillStyle = themeColour("well");
  context.fillRect(left - 3, y - 8, breadth + 6, 16);
  context.fillStyle = themeColour("text");
  context.textAlign = "left";
  context.fillText(text, left, y);
}

function roundSteps(span, most) {
  const unit = 10 ** Math.floor(Math.log10(span));
  return axisStep(span, most, [unit / 100, unit / 50, unit / 20, unit / 10, unit / 5, unit / 2, unit, 2 * unit]);
}

function drawMarks(context, low, high, most, draw) {
  const step = roundSteps(high - low, most);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high * (1 + 1e-9); index++) {
    draw(index * step, (index * step).toFixed(digits));
  }
}

function paintHistogram(canvas, report) {
  const { histogram, sample_rate: rate, promised_frames: promised } = report;
  const { context, box, height } = beginChart(canvas);
  if (!histogram) {
    drawLabel(context, "no probe came back", (box.left + box.right) / 2, (box.top + box.bottom) / 2, "center");
    return;
  }
  const { begin_frames: begin, bin_frames: width, counts } = histogram;
  const step = (box.right - box.left) / counts.length;
  const top = Math.max(...counts) * 1.12;
  const y = (count) => box.bottom - (count / top) * (box.bottom - box.top);
  // A bin stands for whole frames: the middle of its place is the middle of them.
  const x = (frames) => box.left + ((frames + 0.5 - begin) / width) * step;
  context.textAlign = "right";
  drawMarks(context, 0, top, 4, (count, text) => {
    if (!Number.isInteger(count)) return;
    context.fillStyle = themeColour("line");
    context.fillRect(box.left, Math.round(y(count)), box.right - box.left, 1);
    context.fillStyle = themeColour("quiet");
    context.fillText(text, box.left - 7, Math.min(box.bottom - 5, y(count)));
  });
  context.fillStyle = themeColour("bar");
  counts.forEach((count, index) => {
    if (count) context.fillRect(box.left + index * step + 0.5, y(count), Math.max(1, step - 1), box.bottom - y(count));
  });
  const middle = Math.round(x(promised)) + 0.5;
  drawDashed(context, [middle, box.top - 4], [middle, box.bottom]);
  const isRight = middle > (box.left + box.right) / 2;
  drawLabel(context, `promised ${exactMs(promised, rate)} ms`, middle + (isRight ? -6 : 6), 11, isRight ? "right" : "left");
  context.fillStyle = themeColour("quiet");
  context.textAlign = "center";
  const [low, high] = [toMs(begin, rate), toMs(begin + counts.length * width - 1, rate)];
  drawMarks(context, low, high, Math.max(2, (box.right - box.left) / 80), (ms, text) => {
    const at = x((ms * rate) / 1000);
    if (at > box.left + 16 && at < box.right - 16) context.fillText(text, at, height - 10);
  });
  context.textAlign = "left";
  context.fillText("ms", box.left - 22, height - 10);
}

function paintTimeline(canvas, report) {
  const { trips, xruns, sample_rate: rate, promised_frames: promised, duration_s: duration } = report;
  const { context, box, height } = beginChart(canvas);
  const delays = [promised, ...trips.map((trip) => trip.frames).filter((frames) => frames !== null)].map((f) => toMs(f, rate));
  const [least, most] = [Math.min(...delays), Math.max(...delays)];
  // Never closer than a millisecond either way, so that a frame looks like a frame.
  const margin = Math.max(1, 0.15 * (most - least));
  const [low, high] = [Math.max(0, least - margin), most + margin];
  const y = (ms) => box.bottom - ((ms - low) / (high - low)) * (box.bottom - box.top);
  const x = (seconds) => box.left + (seconds / duration) * (box.right - box.left);
  drawMarks(context, low, high, 5, (ms, text) => {
    context.fillStyle = themeColour("line");
    context.fillRect(box.left, Math.round(y(ms)), box.right - box.left, 1);
    context.fillStyle = themeColour("quiet");
    context.textAlign = "right";
    context.fillText(text, box.left - 7, Math.min(box.bottom - 5, y(ms)));
  });
  context.textAlign = "left";
  context.fillStyle = themeColour("quiet");
  context.fillText("ms", 0, 8);

  context.fillStyle = themeColour("bad");
  for (const xrun of xruns) {
    const at = Math.round(x(Math.min(xrun.at_s, duration)));
    context.globalAlpha = 0.3;
    context.fillRect(at, 0, 1, box.bottom);
    context.globalAlpha = 1;
    context.beginPath();
    context.moveTo(at - 4, 0);
    context.lineTo(at + 5, 0);
    context.lineTo(at + 0.5, 9);
    context.fill();
  }
  canvas.dataset.xruns = String(xruns.length);

  const level = Math.round(y(toMs(promised, rate))) + 0.5;
  drawDashed(context, [box.left, level], [box.right, level]);
  for (const trip of trips) {
    if (trip.frames === null) {
      context.strokeStyle = themeColour("over");
      context.lineWidth = 2;
      context.strokeRect(x(trip.at_s) - 4, box.bottom - 12, 8, 8);
      context.lineWidth = 1;
    } else {
      context.fillStyle = themeColour("bar");
      context.beginPath();
      context.arc(x(trip.at_s), y(toMs(trip.frames, rate)), 4.5, 0, 2 * Math.PI);
      context.fill();
    }
  }
  drawLabel(context, `promised ${exactMs(promised, rate)} ms`, box.right - 6, level - 13, "right");
  context.fillStyle = themeColour("quiet");
  drawMarks(context, 0, duration, Math.max(2, (box.right - box.left) / 80), (seconds, text) => {
    context.textAlign = seconds ? "center" : "left";
    if (x(seconds) < box.right - 16) context.fillText(`${text} s`, x(seconds), height - 10);
  });
}
