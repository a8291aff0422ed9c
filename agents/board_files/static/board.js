// Charts (uPlot) from the values that the server wrote into the page, and word of a lost connection.
(() => {
  "use strict";
  const charts = new Map();
  const marks = new WeakMap();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const values = (box) => {
    const source = document.getElementById(box.dataset.from);
    try {
      return source ? JSON.parse(source.dataset.values) : null;
    } catch {
      return null;
    }
  };

  // Twenty-four hours, in UTC as all times here; days where a step is that long.
  const two = (number) => String(number).padStart(2, "0");
  const times = (plot, ticks, axis, space, step) => ticks.map((at) => {
    const time = new Date(at * 1000);
    const day = `${two(time.getUTCMonth() + 1)}-${two(time.getUTCDate())}`;
    const clock = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}`;
    return step >= 86400 ? day : clock === "00:00" ? `${day}\n${clock}` : clock;
  });
  const axes = () => [
    { values: times, space: 60, stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { show: false } },
    { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { show: false }, size: 46 },
  ];

  const markers = (named) => (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--text");
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    named.forEach(([name, at], number) => {
      const x = plot.valToPos(Date.parse(at) / 1000, "x", true);
      if (!(x >= bbox.left && x <= bbox.left + bbox.width)) return;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const width = ctx.measureText(name).width;
      ctx.textAlign = "left";
      const right = x + width + 8 < bbox.left + bbox.width;
      ctx.fillText(name, right ? x + 4 : x - width - 4, bbox.top + (14 + 15 * (number % 4)) * devicePixelRatio);
    });
    ctx.restore();
  };

  const kinds = {
    traffic: (found) => ({
      data: found,
      options: {
        series: [
          {},
          { label: "page views", stroke: colour("--expected"), width: 1.5, points: { show: false } },
          { label: "dead ends", stroke: colour("--observed"), width: 1.5, points: { show: false } },
        ],
      },
    }),
    course: (found) => ({
      data: found.lines,
      options: {
        series: [
          {},
          { label: "observed", stroke: colour("--observed"), width: 2, points: { size: 4 } },
          { label: "expected", stroke: colour("--expected"), width: 2, dash: [6, 4], points: { show: false } },
          { label: "usually at least", stroke: colour("--band"), width: 1, points: { show: false } },
          { label: "usually at most", stroke: colour("--band"), width: 1, points: { show: false } },
        ],
        bands: [{ series: [4, 3], fill: colour("--band") }],
        hooks: { draw: [(plot) => markers(marks.get(plot.root.parentNode) || [])(plot)] },
      },
    }),
  };

  // What happened within an hour before the first count, such as a deploy, is to be seen, too.
  const span = (box, low, high) => {
    const times = (marks.get(box) || []).map(([, at]) => Date.parse(at) / 1000);
    return [Math.min(low, ...times.filter((at) => at > low - 3600)), high > low ? high : low + 60];
  };

  const draw = (box) => {
    const found = values(box);
    const made = found && kinds[box.dataset.chart](found);
    const known = charts.get(box);
    if (!made || !made.data[0] || !made.data[0].length) {
      if (!known && !box.firstChild) {
        const note = document.createElement("p");
        note.className = "empty";
        note.textContent = "Nothing to draw yet.";
        box.append(note);
      }
      return;
    }
    marks.set(box, found.marks);
    if (known) {
      known.setData(made.data);
      return;
    }
    box.replaceChildren();
    const plot = new uPlot(
      {
        width: box.clientWidth,
        height: box.clientHeight - 40,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
        scales: { x: { range: (self, low, high) => span(box, low, high) }, y: { range: (self, low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: axes(),
        legend: { live: false },
        cursor: { drag: { x: false, y: false } },
        ...made.options,
      },
      made.data,
      box,
    );
    charts.set(box, plot);
  };

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
  const anew = () => {
    charts.forEach((plot, box) => { plot.destroy(); box.replaceChildren(); });
    charts.clear();
    drawAll();
  };

  const offline = (is) => {
    const note = document.getElementById("offline");
    if (note.hidden === is) note.hidden = !is;
  };

  document.addEventListener("DOMContentLoaded", () => {
    drawAll();
    const by = document.querySelector("[data-remember]");
    if (by) {
      try {
        by.value = localStorage.getItem("culdesac-by") || "";
        by.addEventListener("change", () => localStorage.setItem("culdesac-by", by.value));
      } catch {
        // Without storage the name is written each time.
      }
    }
  });
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    document.querySelectorAll("[data-chart]").forEach((box) => {
      const source = document.getElementById(box.dataset.from);
      if (source && (event.target.contains(source) || event.target === source)) draw(box);
    });
  });
  document.addEventListener("htmx:sseOpen", () => offline(false));
  document.addEventListener("htmx:sseError", () => offline(true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) {
      width = innerWidth;
      charts.forEach((plot, box) => plot.setSize({ width: box.clientWidth, height: box.clientHeight - 40 }));
    }
  });
})();
