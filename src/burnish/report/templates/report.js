// Theme at once (before the first paint), everything else when the page is read.
(() => {
  "use strict";
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const stored = {
    get() { try { return localStorage.getItem("burnish-theme"); } catch { return null; } },
    set(theme) { try { localStorage.setItem("burnish-theme", theme); } catch { /* private mode */ } },
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const wanted = new URLSearchParams(location.search).get("theme") || stored.get();
  if (wanted === "dark" || wanted === "light") root.dataset.theme = wanted;

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // ---- charts: Okabe-Ito colours in an order that reads on each ground ----
  const COLOURS = {
    light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"],
    dark: ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442"],
  };
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "cross"];
  const plain = (value) =>  // plotly reads markup in texts; ours have none
    typeof value === "string" ? value.replace(/&/g, "&amp;").replace(/</g, "&lt;") : value;

  function reach(series) {  // plotly wants distances from y, we have bounds
    if (!series.low) return undefined;
    const gap = (from, to) => (from === null || to === null ? null : to - from);
    return {
      type: "data", symmetric: false, thickness: 1.5, width: 4,
      array: series.y.map((y, i) => gap(y, series.high[i])),
      arrayminus: series.y.map((y, i) => gap(series.low[i], y)),
    };
  }

  // one hue, from the ground up: what is missing shows the ground
  const HEAT = {
    light: [[0, "#f3efe6"], [0.5, "#7fb5d5"], [1, "#003f6b"]],
    dark: [[0, "#22303a"], [0.5, "#3f86b0"], [1, "#d6ecfa"]],
  };

  function heatMap(chart, dark, ink) {
    const rows = chart.series.map((series) => plain(series.name));
    return [{
      type: "heatmap", x: chart.series[0].x.map((v) => plain(String(v))), y: rows,
      z: chart.series.map((series) => series.y), zmin: 0, zmax: 1, xgap: 1, ygap: 1,
      colorscale: HEAT[dark ? "dark" : "light"], hoverongaps: false,
      hovertemplate: "%{y}, %{x}: %{z:.3f}<extra></extra>",
      colorbar: { thickness: 12, outlinewidth: 0, tickfont: { color: ink } },
    }];
  }

  function traces(chart, dark) {
    const colours = COLOURS[dark ? "dark" : "light"];
    const ink = dark ? "#e6e5e1" : "#1b1e21";
    if (chart.kind === "heat" && chart.series.length) return heatMap(chart, dark, ink);
    return chart.series.flatMap((series, index) => {
      const colour = colours[index % colours.length];
      const base = { name: plain(series.name), x: series.x.map(plain), legendgroup: String(index) };
      if (chart.kind === "bar") {
        const bars = reach(series);
        return [{ ...base, y: series.y, type: "bar", marker: { color: colour },
          error_y: bars && { ...bars, color: ink } }];
      }
      if (chart.kind === "points") {
        const bars = reach(series);
        return [{ ...base, y: series.y, type: "scatter", mode: "markers",
          marker: { color: colour, size: 8, symbol: SYMBOLS[index % SYMBOLS.length] },
          error_y: bars && { ...bars, color: colour } }];
      }
      const line = { ...base, y: series.y, type: "scatter", mode: series.x.length > 40 ? "lines" : "lines+markers",
        line: { color: colour, width: 2, dash: DASHES[index % DASHES.length] },
        marker: { size: 6, symbol: SYMBOLS[index % SYMBOLS.length] } };
      if (!series.low) return [line];
      const edge = { ...base, type: "scatter", mode: "lines", line: { width: 0 }, showlegend: false, hoverinfo: "skip" };
      return [{ ...edge, y: series.low },
        { ...edge, y: series.high, fill: "tonexty", fillcolor: colour + "30" }, line];
    });
  }

  function logarithmic(values) {  // ticks where something was measured, if that is readable
    if (values.length === 0 || values.length > 12) return { type: "log", dtick: "D2" };
    return { type: "log", tickmode: "array", tickvals: values, ticktext: values.map(String) };
  }

  function layout(chart, dark) {
    const ink = dark ? "#e6e5e1" : "#1b1e21";
    const line = dark ? "#32383e" : "#e0e0da";
    const kind = (values) => (values.some((v) => typeof v === "string") ? "category" : "linear");
    const heat = chart.kind === "heat";
    const axis = (label, values) => ({
      title: { text: plain(label), standoff: 12, font: { size: 13 } }, automargin: true, gridcolor: line, linecolor: line,
      zeroline: false, type: heat ? "category" : kind(values),
    });
    const numbers = chart.series.flatMap((s) => [...s.y, ...(s.low || []), ...(s.high || [])]);
    const fraction = numbers.length > 0 && numbers.every((v) => v === null || (v >= 0 && v <= 1));
    return {
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 8, t: chart.series.length > 1 && !heat ? 36 : 8, b: 48 },
      xaxis: { ...axis(chart.x_label, chart.series.flatMap((s) => s.x)), showgrid: false,
        ...(chart.x_scale === "log" ? logarithmic(chart.series[0]?.x || []) : {}) },
      yaxis: { ...axis(chart.y_label, []), ...(heat ? { showgrid: false } : { type: "linear" }), ...(chart.kind === "bar" && fraction ? { rangemode: "tozero" } : {}) },
      showlegend: chart.series.length > 1 && !heat,
      legend: { orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "bottom" },
      barmode: "group", bargap: 0.35, bargroupgap: 0.08, hovermode: "closest", dragmode: false,
    };
  }

  function drawCharts() {
    for (const figure of document.querySelectorAll("figure.chart")) {
      const chart = JSON.parse(figure.querySelector("script").textContent);
      const plot = figure.querySelector(".plot");
      plot.hidden = false;
      Plotly.react(plot, traces(chart, isDark()), layout(chart, isDark()), {
        responsive: true, displaylogo: false, displayModeBar: false,
      });
    }
  }

  // ---- theme button ----
  function enableTheme() {
    const button = document.querySelector("[data-theme-toggle]");
    const refresh = () => {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `Use the ${isDark() ? "light" : "dark"} theme`);
      if (window.Plotly) drawCharts();
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      stored.set(root.dataset.theme);
      refresh();
    });
    systemDark.addEventListener("change", refresh);
    button.hidden = false;
    refresh();
  }

  // ---- copy ----
  function enableCopy() {
    for (const button of document.querySelectorAll("[data-copy]")) {
      const code = button.parentElement.querySelector("code");
      const select = () => {  // where there is no clipboard, leave the text selected
        getSelection().selectAllChildren(code);
        return document.execCommand("copy");
      };
      button.hidden = false;
      button.setAttribute("aria-live", "polite");
      button.addEventListener("click", async () => {
        let done;
        try { await navigator.clipboard.writeText(code.textContent); done = true; } catch { done = select(); }
        button.textContent = done ? "Copied" : "Press Ctrl+C";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
    }
  }

  // ---- samples: filters, list, one at a time ----
  const CHANGES = ["all", "newly right", "newly wrong", "both right", "both wrong"];

  function enableBrowser(browser) {
    const holder = browser.querySelector(".articles");
    const articles = [...browser.querySelectorAll(".sample")];
    if (articles.length === 0) return null;
    const state = { change: "all", group: "", shown: articles, at: 0 };
    const position = make("output", {});
    const back = make("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous sample" }, "←");
    const next = make("button", { type: "button", onclick: () => step(1), "aria-label": "Next sample" }, "→");
    const filters = CHANGES.map((change) => make("button", {
      type: "button", "data-change": change, onclick: () => filter({ change }),
    }, change[0].toUpperCase() + change.slice(1), make("span", { class: "count" })));
    const groups = [...new Set(articles.map((a) => a.dataset.group))].sort();
    const chooser = make("select", { "aria-label": "Group", onchange: () => filter({ group: chooser.value }) },
      make("option", { value: "" }, "All groups"),
      ...groups.map((group) => make("option", { value: "=" + group }, group || "no group")));
    const list = make("ul", { class: "list", "aria-label": "Samples" });
    const items = articles.map((article) => {
      const marks = [...article.querySelectorAll(".mark")].map((m) => make("span", { class: m.className.replace("mark ", "") }, m.textContent[0]));
      const prompt = article.querySelector(".prompt").textContent.trim().slice(0, 200);
      const button = make("button", { type: "button", onclick: () => show(state.shown.indexOf(article)) },
        make("span", { class: "marks", "aria-label": article.dataset.change }, marks[0], "→", marks[1]),
        make("span", { class: "line", dir: "auto" }, prompt.replace(/\s+/g, " ")));
      return make("li", {}, button);
    });
    const inGroup = (article) => state.group === "" || "=" + article.dataset.group === state.group;
    const inChange = (article, change) => change === "all" || article.dataset.change === change;

    function filter(wish) {
      Object.assign(state, wish);
      state.shown = articles.filter((a) => inGroup(a) && inChange(a, state.change));
      filters.forEach((button, i) => {
        const count = articles.filter((a) => inGroup(a) && inChange(a, CHANGES[i])).length;
        button.setAttribute("aria-pressed", String(CHANGES[i] === state.change));
        button.querySelector(".count").textContent = String(count);
      });
      articles.forEach((a, i) => { items[i].hidden = !state.shown.includes(a); });
      list.scrollTop = 0;
      show(0);
    }
    function show(at) {
      state.at = Math.min(Math.max(at, 0), Math.max(state.shown.length - 1, 0));
      const current = state.shown[state.at];
      articles.forEach((article, i) => {
        article.hidden = article !== current;
        items[i].firstChild.setAttribute("aria-current", String(article === current));
      });
      back.disabled = state.at === 0;
      next.disabled = state.at >= state.shown.length - 1;
      position.textContent = current ? `${state.at + 1} of ${state.shown.length}` : "none";
      holder.scrollTop = 0;
      const item = current && items[articles.indexOf(current)];
      if (item && item.offsetParent) {  // scroll the list only, never the page
        const top = item.offsetTop, bottom = top + item.offsetHeight;
        if (top < list.scrollTop) list.scrollTop = top - 8;
        else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight + 8;
      }
    }
    function step(by) { if (state.shown.length) show(state.at + by); }

    const panes = make("div", { class: "panes" }, list);
    browser.prepend(make("div", { class: "tools" }, ...filters,
      ...(groups.length > 1 ? [chooser] : []), make("span", { class: "step" }, back, position, next)), panes);
    list.append(...items);
    panes.append(holder);
    browser.classList.add("enhanced");
    filter({});
    return { browser, step };
  }

  function enableKeys(browsers) {
    const steps = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 };
    let current = browsers[0];
    for (const each of browsers) {
      for (const event of ["focusin", "click"]) each.browser.addEventListener(event, () => { current = each; });
    }
    document.addEventListener("keydown", (event) => {
      const busy = event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, .scroll");
      if (busy || !(event.key in steps)) return;
      current.step(steps[event.key]);
      event.preventDefault();
    });
    document.querySelector(".keys").hidden = false;
  }

  // ---- sliders: one row of the table behind it, as tiles ----
  function enableSlider(slider) {
    const table = slider.querySelector("table");
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent);
    const rows = [...table.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
    const range = make("input", { type: "range", min: 0, max: rows.length - 1, step: 1, "aria-label": names[0] });
    const tiles = make("div", { class: "tiles", "aria-live": "polite" });
    const show = () => {
      const row = rows[Number(range.value)];
      range.setAttribute("aria-valuetext", row[0]);
      tiles.replaceChildren(...names.map((name, i) => make("dl", { class: "tile" },
        make("dt", {}, name), make("dd", { class: "value" }, row[i]))));
    };
    range.value = slider.dataset.start;
    range.addEventListener("input", show);
    slider.querySelector("details").open = false;
    slider.prepend(range, tiles);
    show();
  }

  document.addEventListener("DOMContentLoaded", () => {
    enableTheme();
    document.querySelectorAll("[data-slider]").forEach(enableSlider);
    enableCopy();
    const browsers = [...document.querySelectorAll("[data-browser]")].map(enableBrowser).filter(Boolean);
    if (browsers.length) enableKeys(browsers);
    addEventListener("beforeprint", () => {
      document.querySelectorAll("figure details").forEach((details) => { details.open = true; });
    });
  });
})();
