"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (name) => document.getElementById(name), store = `DiffuseMorph marks ${data.folder}`;
  let marks = {};
  try { marks = JSON.parse(localStorage.getItem(store)) || {}; } catch { /* a browser that keeps nothing for files */ }
  let sorted = { by: null, down: false }, chosen = [], drawn = 0;

  function make(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function heading(text, by) {
    const button = make("button", { type: "button", textContent: text + (sorted.by === by ? (sorted.down ? " ↓" : " ↑") : "") });
    button.addEventListener("click", () => { sorted = { by, down: sorted.by === by ? !sorted.down : false }; draw(); });
    const cell = make("th", { scope: "col" }, button);
    if (sorted.by === by) cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    return cell;
  }

  function value(pair, by) {
    if (by === "name") return pair.name;
    if (by === "note") return pair.note;
    return by === "mark" ? marks[pair.name] || "" : pair.figures[by];
  }

  function compare(a, b) { // what is missing comes last, whichever way
    const [x, y] = [value(a, sorted.by), value(b, sorted.by)];
    if (x == null || y == null) return (x == null) - (y == null);
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
    return sorted.down ? -order : order;
  }

  function row(pair) {
    const link = (child) => (pair.page ? make("a", { href: `${pair.link}/report.html` }, child) : child);
    const picture = !pair.picture ? "" : link(make("img", { src: `${pair.link}/preview.png`, loading: "lazy", alt: `preview of ${pair.name}` }));
    const marking = make("td", { className: "mark" });
    for (const [mark, sign] of [["accept", "✓"], ["reject", "✗"]]) {
      const button = make("button", { type: "button", textContent: sign, title: mark });
      button.setAttribute("aria-label", `${mark} ${pair.name}`);
      button.setAttribute("aria-pressed", marks[pair.name] === mark);
      button.addEventListener("click", () => {
        if (marks[pair.name] === mark) delete marks[pair.name]; else marks[pair.name] = mark;
        try { localStorage.setItem(store, JSON.stringify(marks)); } catch { /* kept until the page is closed */ }
        marking.parentNode.replaceWith(row(pair));
      });
      marking.append(button, " ");
    }
    const figures = pair.figures.map((figure, number) => {
      const cell = make("td", { textContent: (typeof figure === "number" ? Number(figure.toPrecision(3)) : figure) ?? (pair.picture ? "–" : ""), className: typeof figure === "string" ? `word-${figure}` : "" });
      cell.dataset.heading = data.headings[number];
      return cell;
    });
    const words = ["failed", "not yet"].includes(pair.state) ? [pair.state, pair.note] : [pair.note];
    const note = make("td", { className: pair.state === "failed" ? "note failed" : "note", textContent: words.filter(Boolean).join(": ") });
    return make("tr", {}, marking, make("td", {}, picture), make("th", { scope: "row" }, link(pair.name)), ...figures, note);
  }

  function more() {
    element("pairs").tBodies[0].append(...chosen.slice(drawn, drawn + 100).map(row));
    drawn = Math.min(drawn + 100, chosen.length);
    element("more").hidden = drawn === chosen.length;
    element("shown").textContent = `${chosen.length} of ${data.pairs.length} pairs`;
  }

  function draw() {
    const words = element("filter").value.toLowerCase().split(/\s+/).filter(Boolean), mark = element("marked").value;
    chosen = data.pairs.filter((pair) => {
      const text = [pair.name, pair.state, pair.note, ...pair.figures].join(" ").toLowerCase(), marked = marks[pair.name] || "unmarked";
      return words.every((word) => text.includes(word)) && (!mark || mark === marked);
    });
    if (sorted.by !== null) chosen.sort(compare);
    const head = make("tr", {}, heading("mark", "mark"), make("th", {}), heading("pair", "name"), ...data.headings.map(heading), heading("note", "note"));
    element("pairs").tHead.replaceChildren(head);
    element("pairs").tBodies[0].replaceChildren();
    drawn = 0;
    more();
  }

  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  element("export").addEventListener("click", () => {
    const lines = ["name,mark", ...data.pairs.map((pair) => `${quoted(pair.name)},${marks[pair.name] || ""}`)];
    make("a", { href: `data:text/csv;charset=utf-8,${encodeURIComponent(lines.join("\r\n"))}`, download: "marks.csv" }).click();
  });
  element("filter").addEventListener("input", draw);
  element("marked").addEventListener("change", draw);
  element("more").addEventListener("click", more);
  element("tools").hidden = false;
  draw();
  document.body.dataset.ready = "yes";
})();
