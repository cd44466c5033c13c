/* Latents of several systems in panels that turn together: drag, arrow keys, + and -, 0 for the first view. */
(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("latents-data").textContent);
  var canvases = Array.prototype.slice.call(document.querySelectorAll("canvas[data-system]"));
  var first = { turn: data.view[0], tilt: data.view[1], zoom: 1 };
  var camera = Object.assign({}, first), spin = 0, colour = "trial";
  var series = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
  var dark = window.matchMedia("(prefers-color-scheme: dark)"), printing = false;
  function ink() { return dark.matches && !printing ? "#eceef1" : "#1b1d21"; }
  function early(t) { /* from violet over green to yellow, of even lightness steps */
    var s = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 200, 37]], k = Math.min(3, Math.floor(t * 4)), f = t * 4 - k;
    return "rgb(" + [0, 1, 2].map(function (i) { return Math.round(s[k][i] + f * (s[k + 1][i] - s[k][i])); }) + ")";
  }
  function place(p, side) {
    var c = Math.cos(camera.turn), s = Math.sin(camera.turn), ct = Math.cos(camera.tilt), st = Math.sin(camera.tilt);
    var x = c * p[0] + s * p[1], y = -s * p[0] + c * p[1], z = p[2];
    var deep = ct * y - st * z, up = st * y + ct * z, near = 4 / (4 + deep), k = side * 0.4 * camera.zoom * near;
    return [side / 2 + k * x, side / 2 - k * up, deep];
  }
  function draw(canvas) {
    var system = data.systems[+canvas.dataset.system], ratio = window.devicePixelRatio || 1;
    var side = canvas.clientWidth || 300, g = canvas.getContext("2d");
    if (canvas.width !== Math.round(side * ratio)) { canvas.width = canvas.height = Math.round(side * ratio); }
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, side, side);
    g.lineWidth = 1.1;
    system.paths.forEach(function (path, k) {
      var at = path.map(function (p) { return place(p, side); }), n = at.length;
      g.globalAlpha = 0.6;
      if (colour === "trial") {
        g.strokeStyle = series[k % series.length];
        g.beginPath();
        at.forEach(function (q, i) { if (i) { g.lineTo(q[0], q[1]); } else { g.moveTo(q[0], q[1]); } });
        g.stroke();
      } else {
        for (var i = 1; i < n; i++) {
          g.strokeStyle = early(i / n);
          g.beginPath(); g.moveTo(at[i - 1][0], at[i - 1][1]); g.lineTo(at[i][0], at[i][1]); g.stroke();
        }
      }
    });
    g.globalAlpha = 1;
    system.points.map(function (p) { return { at: place(p.x, side), kind: p.kind }; })
      .sort(function (a, b) { return b.at[2] - a.at[2]; })
      .forEach(function (p) {
        var x = p.at[0], y = p.at[1], r = 5;
        g.beginPath();
        if (p.kind === "saddle") { g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); g.closePath(); g.fillStyle = "#D55E00"; }
        else if (p.kind === "held") { g.rect(x - r + 1, y - r + 1, 2 * r - 2, 2 * r - 2); g.fillStyle = "#009E73"; }
        else { g.arc(x, y, r, 0, 7); g.fillStyle = ink(); }
        g.fill(); g.lineWidth = 1.2; g.strokeStyle = printing || !dark.matches ? "#fff" : "#15171a"; g.stroke();
      });
    g.font = "12px system-ui, sans-serif"; g.fillStyle = ink(); g.lineWidth = 1; g.strokeStyle = ink();
    var o = place([0, 0, 0], side), corner = [26, side - 26];
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]].forEach(function (axis, i) {
      var a = place(axis, side), d = [a[0] - o[0], a[1] - o[1]], k = 40 / (side * camera.zoom);
      g.beginPath(); g.moveTo(corner[0], corner[1]); g.lineTo(corner[0] + k * d[0], corner[1] + k * d[1]); g.stroke();
      g.fillText(String(i + 1), corner[0] + 1.35 * k * d[0] - 3, corner[1] + 1.35 * k * d[1] + 4);
    });
  }
  function all() { canvases.forEach(draw); }
  function turn(x, y) { camera.turn += x; camera.tilt = Math.max(-1.55, Math.min(1.55, camera.tilt + y)); all(); }
  canvases.forEach(function (canvas) {
    var from = null;
    canvas.addEventListener("pointerdown", function (e) { from = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointermove", function (e) {
      if (from) { turn((e.clientX - from[0]) * 0.01, (e.clientY - from[1]) * 0.01); from = [e.clientX, e.clientY]; }
    });
    ["pointerup", "pointercancel"].forEach(function (name) { canvas.addEventListener(name, function () { from = null; }); });
    canvas.addEventListener("keydown", function (e) {
      var step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[e.key];
      if (step) { turn(step[0], step[1]); }
      else if (e.key === "+" || e.key === "=") { camera.zoom *= 1.1; all(); }
      else if (e.key === "-") { camera.zoom /= 1.1; all(); }
      else if (e.key === "0") { camera = Object.assign({}, first); all(); }
      else { return; }
      e.preventDefault();
    });
  });
  function spinning() { if (spin) { turn(0.008, 0); window.requestAnimationFrame(spinning); } }
  var button = document.getElementById("spin");
  button.addEventListener("click", function () {
    spin = !spin; button.setAttribute("aria-pressed", String(!!spin)); button.textContent = spin ? "Stop turning" : "Turn"; spinning();
  });
  document.getElementById("first-view").addEventListener("click", function () { camera = Object.assign({}, first); all(); });
  document.getElementById("colour").addEventListener("change", function (e) { colour = e.target.value; all(); });
  window.addEventListener("resize", all);
  dark.addEventListener("change", all);
  window.addEventListener("beforeprint", function () { printing = true; all(); });
  window.addEventListener("afterprint", function () { printing = false; all(); });
  all();
})();
