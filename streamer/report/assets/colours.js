// A stem's colour means that stem and nothing else. The first four can be told apart with any kind of colour vision,
// in lightness too; each has one shade for light ground and one for dark.

const STEM_COLOURS = {
  mixture: ["#4b4f52", "#c6ccd1"],
  vocals: ["#bf430d", "#ff935c"],
  drums: ["#1766ab", "#5fb6f7"],
  bass: ["#08795a", "#34c79b"],
  other: ["#96407f", "#e391cb"],
  guitar: ["#836500", "#efd34b"],
  piano: ["#5b4bc4", "#aa9dff"],
};
const MORE_COLOURS = [
  ["#836500", "#efd34b"],
  ["#5b4bc4", "#aa9dff"],
  ["#2b6b75", "#7fccd8"],
  ["#7c4a2a", "#d3a47e"],
  ["#54701b", "#b4d45a"],
  ["#ad2f59", "#ff92b0"],
];
const LATENCY_COLOURS = {
  delivery: ["#2f6f9e", "#8cc1e6"],
  lookahead: ["#5790b8", "#5f9dc9"],
  dispatch: ["#7d8f9b", "#6f8796"],
  compute: ["#b98a2e", "#e3bd69"],
  guard: ["#8d7f9e", "#a99abb"],
  bridge: ["#4f8a80", "#74b8ac"],
};
const RUNG_COLOURS = {
  final: ["#1b7a4b", "#57c98d"],
  late: ["#6b8f2f", "#a8cc5c"],
  provisional: ["#b98a2e", "#e3bd69"],
  mixture: ["#c2182b", "#ff6a72"],
  bypassed: ["#7d8f9b", "#6f8796"],
};

const isDark = () => document.documentElement.dataset.theme === "dark";
const shade = (pair) => pair[isDark() ? 1 : 0];
const themeColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The mixture comes first; names that are not known take what is left of the palette, in order.
function signalColours(signals) {
  let unknown = 0;
  const taken = new Set(signals.slice(1).map((signal) => STEM_COLOURS[signal.name.toLowerCase()]?.[0]));
  const free = MORE_COLOURS.filter((pair) => !taken.has(pair[0]));
  return signals.map((signal, index) => {
    if (index === 0) return STEM_COLOURS.mixture;
    const key = signal.name.toLowerCase();
    if (key !== "mixture" && Object.hasOwn(STEM_COLOURS, key)) return STEM_COLOURS[key];
    return free[unknown++ % free.length];
  });
}

function channelsOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function mixed(from, to, share) {
  return from.map((value, index) => value + (to[index] - value) * share);
}

// Black or white, whichever reads better on a colour.
function inkOn(hex) {
  const [red, green, blue] = channelsOf(hex).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return luminance > 0.179 ? "#0b0d0e" : "#ffffff";
}

// 256 colours from the ground, for silence, through the signal's own to its loudest.
function colourRamp(hex) {
  const ground = channelsOf(themeColour("well"));
  const hue = channelsOf(hex);
  const stops = isDark()
    ? [[0, ground], [0.36, mixed(ground, hue, 0.1)], [0.74, mixed(ground, hue, 0.88)], [1, mixed(hue, [255, 255, 255], 0.8)]]
    : [[0, ground], [0.36, mixed(ground, hue, 0.09)], [0.74, mixed(ground, hue, 0.85)], [1, mixed(hue, [0, 0, 0], 0.6)]];
  const ramp = new Uint32Array(256);
  for (let level = 0; level < 256; level++) {
    const at = level / 255;
    const next = Math.max(1, stops.findIndex((stop) => at <= stop[0]));
    const [[low, from], [high, to]] = [stops[next - 1], stops[next]];
    const [red, green, blue] = mixed(from, to, (at - low) / (high - low)).map(Math.round);
    ramp[level] = (255 << 24) | (blue << 16) | (green << 8) | red;
  }
  return ramp;
}
