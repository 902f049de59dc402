// How values are written, and how elements are made. Text only ever enters the page as text.

const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "className" || name === "textContent" || name === "disabled" || name === "hidden") made[name] = value;
    else if (name === "style") for (const [rule, text] of Object.entries(value)) made.style.setProperty(rule, text);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

const grouped = (count) => count.toLocaleString("en");
const counted = (count, name) => `${grouped(count)} ${name}${count === 1 ? "" : "s"}`;

function milliseconds(value) {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

// Rounded down, so that 100 % means all of it; the small sum is for shares like 0.57, which lie just below themselves.
function percent(share) {
  return (Math.floor(share * 10000 + 1e-9) / 100).toFixed(2);
}

function clockTime(seconds, digits = 0) {
  const scale = 10 ** digits;
  const whole = Math.floor(seconds * scale + 1e-6) / scale;
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

function decibels(value, isSigned = false) {
  if (value === null) return "–";
  const number = Number(value);
  const sign = number < 0 ? "−" : isSigned ? "+" : "";
  return sign + (Number.isFinite(number) ? Math.abs(number).toFixed(1) : "∞");
}

function hertz(value) {
  return value >= 1000 ? `${value / 1000}k` : `${value}`;
}

// Round steps of an axis, so that at most `most` of them fit into `span`.
function axisStep(span, most, steps) {
  return steps.find((step) => span / step <= most) ?? steps.at(-1);
}
