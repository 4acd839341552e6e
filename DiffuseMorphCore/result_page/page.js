"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (name) => document.getElementById(name);

  // A volume out of the picture its slices lie in, side by side: channels numbers a voxel.
  async function volume({ uri, shape: [depth, rows, width], columns }, channels = 1) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    context.drawImage(image, 0, 0);
    const values = new Uint8Array(depth * rows * width * channels);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    for (let z = 0, to = 0; z < depth; z++) {
      const left = (z % columns) * width, top = Math.floor(z / columns) * rows;
      for (let y = 0; y < rows; y++) {
        let from = 4 * ((top + y) * canvas.width + left);
        for (let x = 0; x < width; x++, from += 4) for (let c = 0; c < channels; c++) values[to++] = pixels[from + c];
      }
    }
    return { values, shape: [depth, rows, width], channels };
  }

  // Linear interpolation at (z, y, x); the border goes on outside.
  function sample({ values, shape: [depth, rows, width], channels }, z, y, x, c = 0) {
    z = Math.min(Math.max(z, 0), depth - 1); y = Math.min(Math.max(y, 0), rows - 1); x = Math.min(Math.max(x, 0), width - 1);
    const z0 = z | 0, y0 = y | 0, x0 = x | 0, fz = z - z0, fy = y - y0, fx = x - x0;
    const dx = (x0 < width - 1 ? 1 : 0) * channels, dy = (y0 < rows - 1 ? 1 : 0) * width * channels;
    const dz = (z0 < depth - 1 ? 1 : 0) * width * rows * channels, at = ((z0 * rows + y0) * width + x0) * channels + c;
    const line = (from) => values[from] + fx * (values[from + dx] - values[from]);
    const plane = (from) => { const near = line(from); return near + fy * (line(from + dy) - near); };
    const front = plane(at);
    return front + fz * (plane(at + dz) - front);
  }

  const [fixed, moving, doubt, ...fields] = await Promise.all([
    volume(data.fixed), volume(data.moving), data.uncertainty && volume(data.uncertainty), ...data.fields.map((field) => volume(field, 3)),
  ]);
  const shape = fixed.shape, nodes = fields[0].shape;
  const scale = nodes.map((count, axis) => (shape[axis] > 1 ? (count - 1) / (shape[axis] - 1) : 0));
  const path = { values: new Float32Array(fields[0].values.length), shape: nodes, channels: 3 };
  const change = { values: new Float32Array(path.values.length / 3), shape: nodes, channels: 1 };
  const state = { eta: data.eta, view: "moved", place: data.planes.length > 1 ? data.planes.map((plane) => plane.slice) : [0, 0, 0], phase: 0 };
  let current = 0;

  // The displacement in voxels at eta, linear between the keyframes.
  function setPath(eta) {
    let after = data.etas.findIndex((each) => each >= eta);
    if (after < 0) after = data.etas.length - 1;
    const before = Math.max(after - 1, 0), span = data.etas[after] - data.etas[before];
    const share = span > 0 ? (eta - data.etas[before]) / span : 0, a = fields[before].values, b = fields[after].values;
    for (let i = 0; i < path.values.length; i++) path.values[i] = (a[i] - 128 + share * (b[i] - a[i])) * data.step;
  }

  // Base 2 logarithm of the determinant of the deformation's derivative, by central differences.
  function setChange() {
    const v = path.values, stride = [nodes[1] * nodes[2] * 3, nodes[2] * 3, 3];
    for (let z = 0, i = 0; z < nodes[0]; z++) for (let y = 0; y < nodes[1]; y++) for (let x = 0; x < nodes[2]; x++, i++) {
      const m = [], at = [z, y, x];
      for (let axis = 0; axis < 3; axis++) {
        const low = at[axis] > 0 ? 1 : 0, high = at[axis] < nodes[axis] - 1 ? 1 : 0, span = (low + high) / (scale[axis] || 1);
        for (let c = 0; c < 3; c++) {
          const slope = span ? (v[3 * i + c + high * stride[axis]] - v[3 * i + c - low * stride[axis]]) / span : 0;
          m.push(slope + (c === axis ? 1 : 0));
        }
      }
      const determinant = m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
      change.values[i] = Math.log2(Math.max(determinant, 0.01));
    }
  }

  // Colours between stops, for a share from 0 to 1.
  const ramp = (stops) => (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
    return stops[i].map((value, c) => value + (at - i) * (stops[i + 1][c] - value));
  };
  const colours = {
    difference: ramp([[92, 200, 255], [10, 60, 102], [0, 0, 0], [110, 36, 8], [255, 154, 92]]),
    jacobian: ramp([[13, 38, 153], [89, 153, 242], [255, 255, 255], [242, 128, 77], [153, 0, 26]]),
    uncertainty: ramp([[0, 0, 26], [115, 13, 115], [230, 89, 51], [255, 242, 153]]),
  };
  const largest = data.uncertainty ? data.uncertainty.largest : 0;
  const bars = {
    jacobian: ["½", "2", "local change of volume: blue is stretched, red is compressed, white is unchanged (logarithmic)"],
    uncertainty: ["0", `${largest.toPrecision(2)} mm`, "within how many millimetres the images do not say where a point belongs"],
    difference: ["fixed is brighter", "moved is brighter", "black where both are the same"],
  };
  const views = [
    ["moved", "The moving image, deformed as far as eta says"], ["fixed", "The fixed image"],
    ["blink", "Fixed and moved in turn: what jumps does not match"], ["checkerboard", "Tiles of fixed and moved: follow edges across them"],
    ["difference", "Moved minus fixed"], ["edges", "Edges of the fixed image over the moved one: they should lie on its edges"],
    ["grid", "The deformed grid: where each point of the fixed image looks"], ["jacobian", "Where tissue is stretched or compressed, at this eta"],
    ["uncertainty", "Where the result is not to be trusted, at eta 1"],
  ].filter(([name]) => name !== "uncertainty" || doubt);

  const planes = data.planes.map((plane, number) => {
    const [r, c] = [0, 1, 2].filter((axis) => axis !== plane.axis), rows = shape[r], columns = shape[c];
    const figure = document.createElement("figure");
    figure.className = data.planes.length > 1 ? "plane" : "plane alone";
    figure.innerHTML = `<div class="stack"><canvas class="picture"></canvas><canvas class="lines"></canvas></div>
      <figcaption><span>${plane.name}</span><input type="range" min="0" aria-label="slice, ${plane.name}"><output></output></figcaption>`;
    const [picture, lines] = figure.querySelectorAll("canvas"), slider = figure.querySelector("input"), sharp = Math.max(2, Math.ceil(900 / Math.max(rows, columns)));
    picture.width = columns; picture.height = rows; lines.width = columns * sharp; lines.height = rows * sharp;
    for (const canvas of [picture, lines]) { // as large as fits, whatever its own pixels
      canvas.style.aspectRatio = `${columns} / ${rows}`;
      const stack = figure.querySelector(".stack");
      new ResizeObserver(() => {
        const fit = Math.min(stack.clientWidth / columns, stack.clientHeight / rows);
        canvas.style.width = `${columns * fit}px`; canvas.style.height = `${rows * fit}px`;
      }).observe(stack);
    }
    slider.max = shape[plane.axis] - 1;
    slider.hidden = shape[plane.axis] === 1;
    slider.addEventListener("input", () => { current = number; move(plane.axis, +slider.value); });
    picture.parentNode.addEventListener("pointerdown", (event) => {
      const box = picture.getBoundingClientRect(), i = Math.floor((event.clientY - box.top) / box.height * rows), j = Math.floor((event.clientX - box.left) / box.width * columns);
      if (i < 0 || j < 0 || i >= rows || j >= columns) return;
      current = number;
      state.place[r] = plane.up ? rows - 1 - i : i; state.place[c] = plane.mirrored ? columns - 1 - j : j;
      draw();
    });
    element("planes").append(figure);
    return { ...plane, r, c, rows, columns, picture, lines, sharp, slider, output: figure.querySelector("output") };
  });

  function drawPlane(plane) {
    const { r, c, rows, columns } = plane, p = [...state.place], count = rows * columns, view = state.view;
    const f = new Float32Array(count), m = new Float32Array(count), colour = new Float32Array(count), u = new Float32Array(2 * count), step = [0, 0, 0];
    for (let i = 0, k = 0; i < rows; i++) for (let j = 0; j < columns; j++, k++) {
      p[r] = plane.up ? rows - 1 - i : i; p[c] = plane.mirrored ? columns - 1 - j : j;
      const n0 = p[0] * scale[0], n1 = p[1] * scale[1], n2 = p[2] * scale[2];
      for (let axis = 0; axis < 3; axis++) step[axis] = sample(path, n0, n1, n2, axis);
      f[k] = fixed.values[(p[0] * shape[1] + p[1]) * shape[2] + p[2]];
      m[k] = sample(moving, p[0] + step[0] + data.before[0], p[1] + step[1] + data.before[1], p[2] + step[2] + data.before[2]);
      u[2 * k] = plane.up ? -step[r] : step[r]; u[2 * k + 1] = plane.mirrored ? -step[c] : step[c];
      if (view === "jacobian") colour[k] = (sample(change, n0, n1, n2) + 1) / 2;
      if (view === "uncertainty") colour[k] = sample(doubt, n0, n1, n2) / 255;
    }
    const context = plane.picture.getContext("2d"), image = context.createImageData(columns, rows), tile = Math.max(1, Math.floor(Math.max(rows, columns) / 8));
    for (let i = 0, k = 0; i < rows; i++) for (let j = 0; j < columns; j++, k++) {
      let rgb, grey = m[k];
      if (view === "fixed" || (view === "blink" && state.phase)) grey = f[k];
      if (view === "checkerboard" && (Math.floor(i / tile) + Math.floor(j / tile)) % 2 === 0) grey = f[k];
      if (view === "grid") grey *= 0.6;
      if (view === "difference") rgb = colours.difference(0.5 + (m[k] - f[k]) / 255);
      else if (view === "jacobian" || view === "uncertainty") rgb = colours[view](colour[k]).map((value) => 0.6 * value + 0.4 * f[k]);
      else rgb = [grey, grey, grey];
      image.data.set([rgb[0] + 0.5, rgb[1] + 0.5, rgb[2] + 0.5, 255], 4 * k);
    }
    context.putImageData(image, 0, 0);
    drawLines(plane, f, u);
    plane.slider.value = state.place[plane.axis];
    plane.output.value = plane.slider.hidden ? "" : `${state.place[plane.axis] + 1} / ${shape[plane.axis]}`;
  }

  function drawLines({ lines, sharp, rows, columns }, f, u) {
    const context = lines.getContext("2d");
    context.clearRect(0, 0, lines.width, lines.height);
    context.lineWidth = Math.max(1.5, lines.width / 500);
    context.beginPath();
    const place = (y, x) => [(x + 0.5) * sharp, (y + 0.5) * sharp];
    if (state.view === "grid") {
      context.strokeStyle = "#ffc24d";
      const every = Math.max(1, Math.round(Math.max(rows, columns) / 26));
      const to = (i, j, first) => context[first ? "moveTo" : "lineTo"](...place(i + u[2 * (i * columns + j)], j + u[2 * (i * columns + j) + 1]));
      for (let i = every >> 1; i < rows; i += every) for (let j = 0; j < columns; j++) to(i, j, j === 0);
      for (let j = every >> 1; j < columns; j += every) for (let i = 0; i < rows; i++) to(i, j, i === 0);
    }
    if (state.view === "edges") { // lines of equal brightness, cell by cell (marching squares)
      context.strokeStyle = "#39e6a5";
      for (const level of data.levels) for (let i = 0; i < rows - 1; i++) for (let j = 0; j < columns - 1; j++) {
        const corners = [[i, j], [i, j + 1], [i + 1, j + 1], [i + 1, j]], cut = [];
        for (let side = 0; side < 4; side++) {
          const [a, b] = [corners[side], corners[(side + 1) % 4]], low = f[a[0] * columns + a[1]] - level, high = f[b[0] * columns + b[1]] - level;
          if (low < 0 !== high < 0) cut.push(place(a[0] + low / (low - high) * (b[0] - a[0]), a[1] + low / (low - high) * (b[1] - a[1])));
        }
        for (let k = 0; k + 1 < cut.length; k += 2) { context.moveTo(...cut[k]); context.lineTo(...cut[k + 1]); }
      }
    }
    context.stroke();
  }

  const draw = () => planes.forEach(drawPlane);
  function move(axis, slice) {
    state.place[axis] = Math.min(Math.max(slice, 0), shape[axis] - 1);
    draw();
  }
  function setEta(eta) {
    state.eta = Math.round(Math.min(Math.max(eta, 0), 1) * 100) / 100;
    element("eta").value = state.eta;
    element("eta-value").value = `eta ${state.eta.toFixed(2)}`;
    setPath(state.eta);
    if (state.view === "jacobian") setChange();
    draw();
  }
  let blinking = 0, playing = 0;
  function setView(name) {
    state.view = name; state.phase = 0;
    clearInterval(blinking);
    if (name === "blink") blinking = setInterval(() => { state.phase = 1 - state.phase; draw(); caption(); }, 600);
    for (const button of element("views").children) {
      button.setAttribute("aria-checked", button.dataset.view === name);
      button.tabIndex = button.dataset.view === name ? 0 : -1;
    }
    const bar = bars[name];
    element("bar").hidden = !bar;
    if (bar) {
      const [low, scale_, high, text] = element("bar").children, context = scale_.getContext("2d");
      [low.textContent, high.textContent, text.textContent] = bar;
      for (let i = 0; i < 256; i++) { context.fillStyle = `rgb(${colours[name](i / 255).map(Math.round).join()})`; context.fillRect(i, 0, 1, 1); }
    }
    caption();
    setEta(state.eta);
  }
  function caption() {
    const text = views.find(([name]) => name === state.view)[1], odd = state.view === "difference" && data.modality === "different";
    element("caption").textContent = (state.view === "blink" ? (state.phase ? "fixed · " : "moved · ") : "") + text + (odd ? "; of different contrasts it says little" : "");
  }
  function play() {
    element("play").textContent = playing ? "▶" : "❚❚";
    if (playing) { cancelAnimationFrame(playing); playing = 0; return; }
    const begin = performance.now() - 3000 * (state.eta < 1 ? state.eta : 0);
    const frame = (now) => { // from aligned to registered in three seconds, and back
      const turn = ((now - begin) / 3000) % 2;
      setEta(turn < 1 ? turn : 2 - turn);
      playing = requestAnimationFrame(frame);
    };
    playing = requestAnimationFrame(frame);
  }

  views.forEach(([name], number) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", innerHTML: `${name === "jacobian" ? "Jacobian" : name}<sup>${number + 1}</sup>` });
    button.setAttribute("role", "radio");
    button.dataset.view = name;
    button.addEventListener("click", () => setView(name));
    element("views").append(button);
  });
  element("last-view").textContent = views.length;
  element("eta").addEventListener("input", (event) => { if (playing) play(); setEta(+event.target.value); });
  element("play").addEventListener("click", play);
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key], slice = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (turn) { if (playing) play(); setEta(state.eta + 0.05 * turn); }
    else if (slice && shape[planes[current].axis] > 1) move(planes[current].axis, state.place[planes[current].axis] + slice);
    else if (event.key === " " && !event.target.closest("button, summary")) play();
    else if (event.key >= "1" && event.key <= String(views.length)) setView(views[event.key - 1][0]);
    else return;
    event.preventDefault();
  });
  if (navigator.clipboard) {
    element("copy").hidden = false;
    element("copy").addEventListener("click", async () => {
      const list = [...document.querySelectorAll(".methods li")].map((each, number) => `[${number + 1}] ${each.textContent}`);
      await navigator.clipboard.writeText([element("methods").textContent, ...list].join("\n"));
      element("copy").textContent = "Copied";
    });
  }
  element("viewer").hidden = false;
  setView("moved");
  document.body.dataset.ready = "yes";
})();
