// The rows: name, volume, mute and solo beside each spectrogram; and the transport above them.

const METER_RANGE_DB = 48;
const KEY_STEP_S = 5;

class Mixer {
  #report;
  #player;
  #rows = [];
  #source = "stems";
  #isTicking = false;
  #canPlay;

  constructor(report) {
    this.#report = report;
    const { signals, listening } = report;
    this.#canPlay = listening.seconds > 0;
    this.#player = new Player(signals.map((signal) => signal.mp3), listening.seconds, listening.sample_rate);
    this.#player.onchange = () => this.#show();
    const colours = signalColours(signals);
    this.#rows = signals.map((signal, index) => this.#makeRow(signal, index, colours[index]));
    byId("rows").replaceChildren(...this.#rows.map((row) => row.node));
    this.#wireTransport();
    new ResizeObserver(() => drawRuler(byId("ruler"), report)).observe(byId("ruler"));
    this.#listenNote();
    byId("lost-hint").hidden = report.misses === 0;
    this.paint();
    this.#mix();
    this.#show();
  }

  // Draw everything that has a colour of the theme's.
  paint() {
    const { duration_s, spectrogram } = this.#report;
    for (const row of this.#rows) {
      const hex = shade(row.colours);
      row.node.style.setProperty("--hue", hex);
      drawSpectrogram(row.canvas, row.signal, row.levels, duration_s / spectrogram.column_s, hex);
    }
  }

  #makeRow(signal, index, colours) {
    const isMixture = index === 0;
    const name = isMixture ? "Mixture" : signal.name;
    const row = { signal, colours, levels: bytesOf(signal.levels), volume: 1, isMuted: false, isSolo: false };
    row.canvas = element("canvas", { role: "img", "aria-label": `Spectrogram of ${isMixture ? "the mixture" : name}` });
    row.cursor = element("div", { className: "cursor" });
    const picture = element("div", { className: "picture" }, row.canvas, row.cursor);
    const { seconds, is_cut } = this.#report.listening;
    if (is_cut) {
      const left = `${(100 * seconds) / this.#report.duration_s}%`;
      picture.append(element("div", { className: "beyond", style: { left } }));
    }
    this.#wirePicture(picture);
    row.volumeInput = element("input", {
      type: "range", min: "0", max: "100", value: "100", className: "strip-volume", "aria-label": `Volume of ${name}`,
    });
    row.volumeInput.addEventListener("input", () => {
      row.volume = row.volumeInput.valueAsNumber / 100;
      this.#mix();
    });
    const label = element(
      "div",
      { className: "strip-name" },
      element("span", { className: "chip", "aria-hidden": "true" }),
      element("b", { textContent: name, title: name }),
    );
    const heading = element("div", { className: "strip-label" }, label);
    const score = this.#report.scores.find((each) => each.stem === signal.name);
    if (!isMixture && score && score.sdr_db !== null) {
      heading.append(element("div", { className: "strip-score", textContent: `SDR ${decibels(score.sdr_db)} dB` }));
    }
    const strip = element("div", { className: "strip", role: "group", "aria-label": `Controls of ${name}` }, heading);
    if (!isMixture) {
      row.mute = this.#toggle(row, "isMuted", "M", `Mute ${name}`, "mute");
      row.solo = this.#toggle(row, "isSolo", "S", `Solo ${name}`, "solo");
      strip.append(row.mute, row.solo);
    }
    strip.append(row.volumeInput);
    row.meter = element("i");
    const meter = element("div", { className: "meter", "aria-hidden": "true" }, row.meter);
    const scale = frequencyScale(this.#report.spectrogram.band_hz);
    const lane = element("div", { className: "lane" }, scale, meter, picture);
    row.node = element("div", { className: isMixture ? "row is-mixture" : "row" }, strip, lane);
    return row;
  }

  #toggle(row, state, letter, label, kind) {
    const button = element("button", {
      type: "button", className: `toggle ${kind}`, "aria-pressed": "false", "aria-label": label, title: label,
      textContent: letter,
    });
    button.addEventListener("click", () => {
      row[state] = !row[state];
      button.setAttribute("aria-pressed", String(row[state]));
      // Whoever reaches for a stem wants to hear stems.
      this.#choose("stems");
    });
    return button;
  }

  #wirePicture(picture) {
    const go = (event) => {
      const box = picture.getBoundingClientRect();
      this.#player.seek(((event.clientX - box.left) / box.width) * this.#report.duration_s);
    };
    picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.#canPlay) return;
      picture.setPointerCapture(event.pointerId);
      go(event);
    });
    picture.addEventListener("pointermove", (event) => {
      if (picture.hasPointerCapture(event.pointerId)) go(event);
    });
  }

  #wireTransport() {
    const seek = byId("seek");
    seek.max = String(this.#report.listening.seconds);
    seek.addEventListener("input", () => this.#player.seek(seek.valueAsNumber));
    byId("play").addEventListener("click", () => this.#playOrPause());
    for (const choice of document.querySelectorAll("input[name=source]")) {
      choice.addEventListener("change", () => this.#choose(choice.value));
      choice.disabled = !this.#canPlay;
    }
    byId("play").disabled = seek.disabled = !this.#canPlay;
    document.addEventListener("keydown", (event) => {
      const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
      const isTaken = event.target.closest("input, button, summary, a, canvas[tabindex]");
      if (!this.#canPlay || !isPlain || isTaken) return;
      if (event.key === " ") this.#playOrPause();
      else if (event.key === "ArrowLeft") this.#player.seek(this.#player.time - KEY_STEP_S);
      else if (event.key === "ArrowRight") this.#player.seek(this.#player.time + KEY_STEP_S);
      else return;
      event.preventDefault();
    });
  }

  async #playOrPause() {
    if (this.#player.isPlaying) return this.#player.pause();
    const button = byId("play");
    button.setAttribute("aria-busy", "true");
    try {
      await this.#player.play();
    } catch {
      byId("listen-note").textContent = "This browser cannot play the MP3s in this page.";
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  #choose(source) {
    this.#source = source;
    document.querySelector(`input[name=source][value=${source}]`).checked = true;
    this.#mix();
  }

  #isAudible(row, index) {
    if (index === 0) return this.#source === "mixture";
    if (this.#source === "mixture") return false;
    return this.#rows.some((each) => each.isSolo) ? row.isSolo : !row.isMuted;
  }

  #mix() {
    this.#rows.forEach((row, index) => {
      const isAudible = this.#isAudible(row, index);
      // What the mixture shows is always of interest; a stem's picture fades with its sound.
      row.node.dataset.audible = String(isAudible || index === 0 || this.#source === "mixture");
      row.volumeInput.setAttribute("aria-valuetext", `${Math.round(100 * row.volume)} %`);
      this.#fillTrack(row.volumeInput, row.volume);
      this.#player.setGain(index, isAudible ? row.volume : 0);
    });
  }

  #fillTrack(input, share) {
    const filled = `${(100 * share).toFixed(2)}%`;
    const colour = input.id === "seek" ? "var(--text)" : "var(--hue)";
    input.style.setProperty("--track", `linear-gradient(90deg, ${colour} ${filled}, var(--line) ${filled})`);
  }

  #listenNote() {
    const { seconds, is_cut } = this.#report.listening;
    byId("listen-note").textContent = !this.#canPlay
      ? "There is nothing to hear."
      : is_cut
        ? `The first ${clockTime(seconds)} of ${clockTime(this.#report.duration_s)} can be heard here, as MP3.`
        : "As MP3; the measurements are of the sound itself.";
  }

  #show() {
    const { isPlaying, time } = this.#player;
    const { duration_s, listening } = this.#report;
    const play = byId("play");
    play.toggleAttribute("data-playing", isPlaying);
    play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    const seek = byId("seek");
    seek.value = String(time);
    seek.setAttribute("aria-valuetext", `${clockTime(time)} of ${clockTime(listening.seconds)}`);
    this.#fillTrack(seek, listening.seconds ? time / listening.seconds : 0);
    byId("clock").textContent = `${clockTime(time, 1)} / ${clockTime(listening.seconds, 1)}`;
    const left = `${duration_s ? (100 * time) / duration_s : 0}%`;
    this.#rows.forEach((row, index) => {
      row.cursor.style.left = left;
      const db = 20 * Math.log10(Math.max(1e-6, this.#player.peak(index)));
      row.meter.style.transform = `scaleY(${Math.min(1, Math.max(0, 1 + db / METER_RANGE_DB)).toFixed(3)})`;
    });
    if (isPlaying && !this.#isTicking) {
      this.#isTicking = true;
      requestAnimationFrame(() => {
        this.#isTicking = false;
        this.#show();
      });
    }
  }
}
