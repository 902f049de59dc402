// Puts the report together, and again what has colours whenever the theme changes.

const report = JSON.parse(byId("contents").textContent);
const system = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "Light" : "Dark";
  byId("theme").textContent = other;
  byId("theme").setAttribute("aria-label", `${other} colours`);
}

function paintAll() {
  mixer.paint();
  chart.paint();
  showLatency(report);
  showCoverage(report);
  showScores(report);
  fitLabels();
}

function fitLabels() {
  hideTightLabels(byId("latency-bar"));
}

const themeNow = () => chosenTheme ?? (system.matches ? "dark" : "light");

applyTheme(themeNow());
showHead(report);
showFigures(report);
showMachine(report);
showGauges(report);
const mixer = new Mixer(report);
const chart = new BlockChart(report);
paintAll();

new ResizeObserver(fitLabels).observe(byId("latency-bar"));
byId("theme").addEventListener("click", () => {
  chosenTheme = themeNow() === "dark" ? "light" : "dark";
  applyTheme(chosenTheme);
  paintAll();
});
system.addEventListener("change", () => {
  applyTheme(themeNow());
  paintAll();
});
// Paper is white.
addEventListener("beforeprint", () => {
  applyTheme("light");
  paintAll();
});
addEventListener("afterprint", () => {
  applyTheme(themeNow());
  paintAll();
});
