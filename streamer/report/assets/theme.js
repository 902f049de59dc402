// Light or dark, as the system has it until the reader chooses. Canvases have to be painted again when that changes.

const system = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "Light" : "Dark";
  byId("theme").textContent = other;
  byId("theme").setAttribute("aria-label", `${other} colours`);
}

const themeNow = () => chosenTheme ?? (system.matches ? "dark" : "light");

function followTheme(paint) {
  byId("theme").addEventListener("click", () => {
    chosenTheme = themeNow() === "dark" ? "light" : "dark";
    applyTheme(chosenTheme);
    paint();
  });
  system.addEventListener("change", () => {
    applyTheme(themeNow());
    paint();
  });
  // Paper is white.
  addEventListener("beforeprint", () => {
    applyTheme("light");
    paint();
  });
  addEventListener("afterprint", () => {
    applyTheme(themeNow());
    paint();
  });
}
