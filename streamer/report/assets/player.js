// Plays all signals together, to the sample: decoded once, started at one moment, each through a gain of its own.

const MP3_DELAY_FRAMES = 1105;
const FADE_S = 0.006;

class Player {
  #signals;
  #seconds;
  #rate;
  #context = null;
  #loading = null;
  #buffers = [];
  #delayS = 0;
  #gains = [];
  #meters = [];
  #master = null;
  #wanted = [];
  #sources = [];
  #from = 0;
  #startedAt = 0;
  onchange = () => {};

  constructor(mp3s, seconds, rate) {
    this.#signals = mp3s;
    this.#seconds = seconds;
    this.#rate = rate;
    this.#wanted = mp3s.map(() => 1);
  }

  get isPlaying() {
    return this.#sources.length > 0;
  }

  get time() {
    if (!this.isPlaying) return this.#from;
    const heard = this.#context.currentTime - (this.#context.outputLatency || 0) - this.#startedAt;
    return Math.min(this.#seconds, this.#from + Math.max(0, heard));
  }

  async play() {
    if (this.isPlaying) return;
    this.#loading ??= this.#load();
    await this.#loading;
    await this.#context.resume();
    if (this.isPlaying) return;
    if (this.#from >= this.#seconds - 0.01) this.#from = 0;
    this.#start();
  }

  pause() {
    if (!this.isPlaying) return;
    const at = this.time;
    this.#stop();
    this.#from = at;
    this.onchange();
  }

  seek(seconds) {
    const wasPlaying = this.isPlaying;
    if (wasPlaying) this.#stop();
    this.#from = Math.min(this.#seconds, Math.max(0, seconds));
    if (wasPlaying && this.#from < this.#seconds) this.#start();
    else this.onchange();
  }

  setGain(index, gain) {
    this.#wanted[index] = gain;
    if (this.#context) this.#gains[index].gain.setTargetAtTime(gain, this.#context.currentTime, FADE_S);
  }

  // Peak of what is heard of a signal right now.
  peak(index) {
    if (!this.isPlaying) return 0;
    const { analyser, samples } = this.#meters[index];
    analyser.getFloatTimeDomainData(samples);
    return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  }

  async #load() {
    const context = new AudioContext({ sampleRate: this.#rate, latencyHint: "playback" });
    try {
      this.#buffers = await Promise.all(this.#signals.map((mp3) => context.decodeAudioData(bytesOf(mp3).buffer)));
    } catch (error) {
      this.#loading = null;
      await context.close();
      throw error;
    }
    this.#context = context;
    // A decoder that leaves in what the encoder put before the sound gives more frames than went in.
    const surplus = Math.round((this.#buffers[0].duration - this.#seconds) * this.#rate);
    this.#delayS = surplus >= MP3_DELAY_FRAMES ? MP3_DELAY_FRAMES / this.#rate : 0;
    this.#master = context.createGain();
    this.#master.connect(context.destination);
    this.#gains = this.#buffers.map((_, index) => {
      const gain = context.createGain();
      gain.gain.value = this.#wanted[index];
      gain.connect(this.#master);
      return gain;
    });
    this.#meters = this.#gains.map((gain) => {
      const analyser = context.createAnalyser();
      analyser.fftSize = 1024;
      gain.connect(analyser);
      return { analyser, samples: new Float32Array(analyser.fftSize) };
    });
  }

  #start() {
    const at = this.#context.currentTime + 0.05;
    this.#master.gain.cancelScheduledValues(0);
    this.#master.gain.setTargetAtTime(1, at, FADE_S);
    this.#sources = this.#buffers.map((buffer, index) => {
      const source = this.#context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.#gains[index]);
      source.start(at, this.#from + this.#delayS);
      return source;
    });
    this.#startedAt = at;
    this.#sources[0].onended = () => this.#end();
    this.onchange();
  }

  #end() {
    this.#sources = [];
    this.#from = this.#seconds;
    this.onchange();
  }

  #stop() {
    const now = this.#context.currentTime;
    this.#master.gain.cancelScheduledValues(0);
    this.#master.gain.setTargetAtTime(0, now, FADE_S);
    for (const source of this.#sources) {
      source.onended = null;
      source.stop(now + 5 * FADE_S);
    }
    this.#sources = [];
  }
}
