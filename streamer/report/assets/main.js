// Puts the report together, and again what has colours whenever the theme changes.

const report = JSON.parse(byId("contents").textContent);

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

applyTheme(themeNow());
showHead(report);
showFigures(report);
showMachine(report);
showGauges(report);
const mixer = new Mixer(report);
const chart = new BlockChart(report);
paintAll();

new ResizeObserver(fitLabels).observe(byId("latency-bar"));
followTheme(paintAll);
