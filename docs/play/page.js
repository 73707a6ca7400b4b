/* page.js -- the playground's page: controls, address, loop and pictures. The numbers come from play.c
 * (play.js), which knows every control and leaves named matrices: views["nuts.mean"].data. */
"use strict";
const $ = (what, where = document) => where.querySelector(what);
const all = (what, where = document) => [...where.querySelectorAll(what)];
const METHODS = ["sgld", "nuts", "meanfield", "laplace", "ensemble", "student"];
const METHOD_NAMES = ["SGLD", "NUTS", "mean field", "Laplace", "deep ensemble", "student of NUTS"];
const METHOD_COLORS = ["orange", "blue", "green", "red", "purple", "sky"];
const CHAIN_COLORS = ["orange", "sky", "green", "purple"];
const FAMILY_NAMES = ["Gumbel-softmax", "Dirichlet", "logit-normal"];
const READERS = ["one net", "ensemble", "student"];

let C;                 /* the compiled play.c                                        */
let tabs = [], tab = 0, controls = [];
let views = {}, turn = 0, running = true, more = true, limit = Infinity, frame = 0;
let edited = [null, null];     /* points of regression and plane, null = those that come with it */
let pixels = null;             /* of the drawing, null = the digit that comes with it           */
let cross = { x: 0, y: 0, on: false };
const play = { fps: 0, done: false, ready: false, views: () => views, late: 0 }; /* for tests */
window.play = play;

const text = at => C.UTF8ToString(at);
const css = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const short = (x, n = 3) => !isFinite(x) ? "-" : Math.abs(x) < 1e-9 ? "0" : x !== 0 && (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3)
    ? x.toExponential(n - 2) : String(Number(x.toPrecision(n)));
const control = key => controls.find(c => c.tab === tabs[tab] && c.key === key);
const value = key => control(key).value;

/* ---- colors --------------------------------------------------------------------------------- */
let palette = {};
function colors() {
    for (const name of ["orange", "sky", "green", "yellow", "blue", "red", "purple", "paper", "card",
                        "ink", "soft", "line"]) {
        const hex = css(name);
        palette[name] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
    }
}
const rgb = (name, alpha = 1) => `rgba(${palette[name].join(",")},${alpha})`;
const mix = (a, b, t) => palette[a].map((x, i) => x + (palette[b][i] - x) * Math.min(1, Math.max(0, t)));
const between = (a, middle, b, t) => t < 0.5 ? mix(a, middle, 2 * t) : mix(middle, b, 2 * t - 1);

/* ---- canvas --------------------------------------------------------------------------------- */
/* A drawing context in CSS pixels, as wide as the column; ratio = height over width */
function begin(canvas) {
    const ratio = Number(canvas.dataset.ratio || 0.62), dpr = Math.min(2, window.devicePixelRatio || 1);
    const w = Math.max(60, canvas.clientWidth), h = Math.round(w * ratio);
    if (canvas.width !== Math.round(w * dpr) || canvas.height !== Math.round(h * dpr)) {
        canvas.width = Math.round(w * dpr);
        canvas.height = Math.round(h * dpr);
        canvas.style.height = h + "px";
    }
    const g = canvas.getContext("2d");
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    g.clearRect(0, 0, w, h);
    g.font = "12px system-ui, sans-serif";
    g.lineWidth = 1;
    return { g, w, h };
}
const X = (c, x) => (x + 3) / 6 * c.w, Y = (c, y, most = 3) => (1 - (y + most) / (2 * most)) * c.h;

/* A matrix as a picture stretched over the box; color(v) gives [r, g, b] or null for nothing */
const stores = {};
function picture(c, m, color, box = [0, 0, c.w, c.h], smooth = true, first = 0, rows = m.rows, flip = false) {
    const cols = m.cols, key = cols + "x" + rows;
    const store = stores[key] = stores[key] || Object.assign(document.createElement("canvas"),
                                                             { width: cols, height: rows });
    const g = store.getContext("2d"), image = g.createImageData(cols, rows);
    for (let i = 0; i < rows * cols; i++) {
        const at = flip ? (rows - 1 - Math.floor(i / cols)) * cols + i % cols : i;
        const v = color(m.data[first + at]);
        if (v) image.data.set([v[0], v[1], v[2], 255], 4 * i);
    }
    g.putImageData(image, 0, 0);
    c.g.imageSmoothingEnabled = smooth;
    c.g.drawImage(store, ...box);
}
function line(g, n, x, y, color, width = 1.5, dash = []) {
    g.beginPath();
    for (let i = 0; i < n; i++) i ? g.lineTo(x(i), y(i)) : g.moveTo(x(i), y(i));
    g.strokeStyle = color;
    g.lineWidth = width;
    g.setLineDash(dash);
    g.stroke();
    g.setLineDash([]);
}
function dot(g, x, y, r, fill, edge) {
    g.beginPath();
    g.arc(x, y, r, 0, 7);
    g.fillStyle = fill;
    g.fill();
    if (edge) g.strokeStyle = edge, g.lineWidth = 1, g.stroke();
}
function label(g, s, x, y, color = rgb("soft"), align = "left") {
    g.fillStyle = color;
    g.textAlign = align;
    g.fillText(s, x, y);
}
function crosshair(c, most) {
    if (!cross.on) return;
    const x = X(c, cross.x), y = Y(c, cross.y, most);
    line(c.g, 2, i => x + (i ? 8 : -8), () => y, rgb("ink"));
    line(c.g, 2, () => x, i => y + (i ? 8 : -8), rgb("ink"));
}
const caption = (canvas, html) => {
    const at = $("figcaption", canvas.parentElement);
    if (at.dataset.html !== html) at.innerHTML = at.dataset.html = html;
};

/* ---- pictures, by tab and name -------------------------------------------------------------- */
const REACH = 2.5; /* of y in regression */
const draw = {
    regression(canvas, name) {
        const c = begin(canvas), g = c.g, k = METHODS.indexOf(name), hue = METHOD_COLORS[k];
        const mean = views[name + ".mean"], doubt = views[name + ".doubt"], total = views[name + ".total"];
        if (!mean) return;
        const n = mean.rows, x = i => X(c, -3 + 6 * i / (n - 1)), y = v => Y(c, v, REACH);
        const band = (sd, alpha) => {
            g.beginPath();
            for (let i = 0; i < n; i++) g.lineTo(x(i), y(mean.data[i] + 2 * sd.data[i]));
            for (let i = n - 1; i >= 0; i--) g.lineTo(x(i), y(mean.data[i] - 2 * sd.data[i]));
            g.fillStyle = rgb(hue, alpha);
            g.fill();
        };
        line(g, 2, i => i * c.w, () => y(0), rgb("line"), 1);
        band(total, 0.25);
        band(doubt, 0.4);
        line(g, n, x, i => y(mean.data[i]), rgb("ink"), 1.5);
        const p = views.points;
        for (let i = 0; i < p.rows; i++)
            dot(g, X(c, p.data[3 * i]), y(p.data[3 * i + 1]), 3, rgb("ink"), rgb("card"));
        crosshair(c, REACH);
        const m = views.methods;
        caption(canvas, `<b>${METHOD_NAMES[k]}</b> doubt ${short(m.data[5 * k + 2])}`);
    },
    plane(canvas, name) {
        const c = begin(canvas), k = METHODS.indexOf(name), what = value("color");
        const v = views[name + [".mean", ".total", ".doubt"][what]], p = views.points, n = 25;
        if (!v) return;
        const scale = [1, 0.6931, 0.5][what];
        picture(c, { data: v.data, cols: n, rows: n }, x => what === 0 ? between("orange", "paper", "blue", x)
            : mix("paper", what === 1 ? "purple" : "green", x / scale),
                [-c.w / (2 * n - 2), -c.h / (2 * n - 2), c.w * n / (n - 1), c.h * n / (n - 1)],
                true, 0, n, true);
        for (let i = 0; i < p.rows; i++) {
            const x = X(c, p.data[3 * i]), y = Y(c, p.data[3 * i + 1]), one = p.data[3 * i + 2] > 0;
            if (one) c.g.fillStyle = rgb("blue"), c.g.strokeStyle = rgb("paper"), c.g.lineWidth = 1,
                c.g.beginPath(), c.g.rect(x - 3.5, y - 3.5, 7, 7), c.g.fill(), c.g.stroke();
            else dot(c.g, x, y, 4, rgb("orange"), rgb("ink"));
        }
        crosshair(c, 3);
        caption(canvas, `<b>${METHOD_NAMES[k]}</b> disagreement ${short(views.methods.data[5 * k + 2])}`);
    },
    sampler(canvas, name) {
        const c = begin(canvas), g = c.g, d = views.draws, n = views.state.data[10], all = 1000;
        const at = (k, i, j) => d.data[2 * (all * k + i) + j];
        if (name === "trace") {
            const last = Math.min(300, n);
            for (let j = 0; j < 2; j++) {
                const y = v => c.h * (j / 2 + 0.25 - Math.max(-3.5, Math.min(3.5, v)) / 15);
                line(g, 2, i => i * c.w, () => c.h * (j / 2 + 0.25), rgb("line"));
                for (let k = 0; k < 4; k++)
                    line(g, last, i => i / Math.max(1, last - 1) * c.w, i => y(at(k, n - last + i, j)),
                         rgb(CHAIN_COLORS[k]), 1.2);
                label(g, "w" + (j + 1), 4, c.h * j / 2 + 14);
            }
            return;
        }
        picture(c, views.map, v => mix("paper", "soft", Math.sqrt(v) * 0.8), undefined, true, 0, 61, true);
        for (let k = 0; k < 4; k++) {
            g.fillStyle = rgb(CHAIN_COLORS[k], 0.55);
            for (let i = 0; i < n; i++) g.fillRect(X(c, at(k, i, 0)) - 1, Y(c, at(k, i, 1)) - 1, 2, 2);
        }
        for (let k = 0; k < 4 && n; k++) {
            const last = Math.min(40, n);
            line(g, last, i => X(c, at(k, n - last + i, 0)), i => Y(c, at(k, n - last + i, 1)),
                 rgb(CHAIN_COLORS[k]), 1.5);
            dot(g, X(c, at(k, n - 1, 0)), Y(c, at(k, n - 1, 1)), 5, rgb(CHAIN_COLORS[k]), rgb("ink"));
        }
    },
    simplex(canvas, name) {
        const c = begin(canvas), g = c.g, k = ["gumbel", "dirichlet", "logitnormal"].indexOf(name);
        const h = c.w * 0.866 * 0.86, w = c.w * 0.86, left = c.w * 0.07, top = c.h * 0.12;
        const d = views[name + ".draws"], f = views.families.data.subarray(8 * k, 8 * k + 8);
        const corner = [[left, top + h], [left + w, top + h], [left + w / 2, top]];
        const place = j => [0, 1].map(i => corner.reduce((s, p, a) => s + d.data[3 * j + a] * p[i], 0));
        g.save();
        g.beginPath();
        corner.forEach(p => g.lineTo(...p));
        g.clip();
        picture(c, views[name + ".map"], v => between("sky", "paper", "red", 0.5 + v / 8), [left, top, w, h]);
        g.restore();
        line(g, 4, i => corner[i % 3][0], i => corner[i % 3][1], rgb("line"));
        g.fillStyle = rgb("ink", 0.75);
        for (let j = 0; d && j < Math.min(d.rows, f[7]); j++) {
            const p = place(j);
            g.fillRect(p[0] - 1, p[1] - 1, 2, 2);
        }
        for (let i = 0; i < 3; i++) {
            g.beginPath();
            g.arc(...corner[i], Math.sqrt(f[3 + i]) * c.w * 0.09, 0, 7);
            g.strokeStyle = rgb("red");
            g.lineWidth = 2.5;
            g.stroke();
            label(g, `${i + 1}: ${short(100 * f[i])} %`, corner[i][0] + (i === 2 ? 12 : 0),
                  corner[i][1] + (i === 2 ? -4 : 16), rgb("ink"), ["left", "right", "left"][i]);
        }
        caption(canvas, `<b>${FAMILY_NAMES[k]}</b> above 0.99: ${short(100 * (f[3] + f[4] + f[5]))} %,
            distance from the center ${short(Math.sqrt(f[6]))}`);
    },
    noise(canvas, name) {
        const c = begin(canvas), g = c.g, p = views.pruned.data;
        if (name === "bits") {
            const m = views.history, n = p[4], most = 4;
            const x = i => 4 + (c.w - 8) * m.data[4 * i] / Math.max(1, m.data[4 * (n - 1)]);
            const y = v => c.h - 16 - (c.h - 30) * Math.min(v, most) / most;
            for (let v = 0; v <= most; v++)
                line(g, 2, i => i * c.w, () => y(v), rgb("line"), 0.7), label(g, v, c.w - 4, y(v) - 3, rgb("soft"), "right");
            line(g, n, x, i => y(m.data[4 * i + 1]), rgb("red"), 2);
            line(g, n, x, i => y(m.data[4 * i + 2]), rgb("blue"), 2);
            line(g, n, x, i => y(m.data[4 * i + 1] + m.data[4 * i + 2]), rgb("ink"), 1.5, [5, 4]);
            label(g, "error", 8, 14, rgb("red"));
            label(g, "complexity", 48, 14, rgb("blue"));
            label(g, "sum", 120, 14, rgb("ink"));
            caption(canvas, `bits per label, over ${short(m.data[4 * Math.max(0, n - 1)] * 4, 5)} steps (saying a label
                outright: 3.32)`);
        } else if (name === "ratios") {
            const m = views.ratios, most = Math.max(...m.data, 1), w = c.w / m.cols;
            for (let i = 0; i < m.cols; i++) {
                const gone = p[3] > 0 && -3 + 5 * (i + 0.5) / m.cols < Math.log10(p[3]);
                g.fillStyle = rgb(gone ? "line" : "green");
                g.fillRect(i * w, c.h - 16, w - 1, -(c.h - 30) * m.data[i] / most);
            }
            for (let d = -2; d <= 1; d++)
                label(g, `${10 ** d}`, (d + 3) / 5 * c.w, c.h - 3, rgb("soft"), "center");
            caption(canvas, "how many weights have which |mean|/sd; gray: removed");
        } else {
            const m = views.weights, across = Math.ceil(m.rows / 2), s = Math.min(c.w / across, c.h / 2);
            const most = Math.max(...m.data.map(Math.abs), 1e-9);
            for (let i = 0; i < m.rows; i++)
                picture(c, { data: m.data, cols: 8 }, v => v === 0 ? null : between("orange", "card", "blue", 0.5 + 0.5 *
                    Math.sign(v) * Math.sqrt(Math.abs(v) / most)), [i % across * s + 2,
                        Math.floor(i / across) * s + 2, s - 4, s - 4], false, 64 * i, 8);
        }
    },
    digits(canvas, name) {
        const c = begin(canvas), g = c.g, a = views.answers.data;
        if (name === "pad") {
            picture(c, views.input, v => mix("paper", "ink", v), undefined, false);
            for (let i = 1; i < 8; i++) {
                line(g, 2, () => i * c.w / 8, j => j * c.h, rgb("line", 0.5), 0.5);
                line(g, 2, j => j * c.w, () => i * c.h / 8, rgb("line", 0.5), 0.5);
            }
            for (const s of pad.strokes)
                line(g, s.length, i => s[i][0] * c.w, i => s[i][1] * c.h, rgb("sky", 0.7), 3);
            if (cross.on) g.strokeStyle = rgb("red"), g.lineWidth = 2,
                g.strokeRect(pad.at % 8 * c.w / 8, Math.floor(pad.at / 8) * c.h / 8, c.w / 8, c.h / 8);
        } else if (name === "answers") {
            const w = (c.w - 16) / 10, part = c.h / 3, h = part - 38;
            for (let k = 0; k < 3; k++) {
                const base = (k + 1) * part - 16, hue = ["orange", "blue", "sky"][k];
                label(g, `${READERS[k]}: entropy ${short(a[12 * k + 10], 2)}` + (k === 1
                    ? `, by doubt ${short(a[12 * k + 11], 2)}` : ""), 8, base - h - 8, rgb("ink"));
                for (let j = 0; j < 10; j++) {
                    g.fillStyle = rgb(hue);
                    g.fillRect(8 + j * w + 1, base, w - 2, -h * a[12 * k + j]);
                    label(g, j, 8 + (j + 0.5) * w, base + 12, rgb("soft"), "center");
                }
            }
        } else {
            const m = views.members, n = views.state.data[1];
            picture(c, m, v => mix("card", "blue", v), [0, 0, c.w, c.h - 16], false);
            for (let j = 0; j < 10; j++) label(g, j, (j + 0.5) * c.w / 10, c.h - 3, rgb("soft"), "center");
            caption(canvas, `votes of ${n} members of the ensemble`);
        }
    },
    latent(canvas, name) {
        const c = begin(canvas), g = c.g, z = [value("z1"), value("z2")];
        const gray = v => mix("paper", "ink", v);
        if (name === "tiles") {
            for (let i = 0; i < 121; i++)
                picture(c, { data: views.plane.data, cols: 8 }, gray, [i % 11 * c.w / 11, Math.floor(i / 11) * c.h / 11,
                        c.w / 11 + 0.5, c.h / 11 + 0.5], false, 64 * i, 8);
        } else if (name === "codes") {
            const m = views.codes;
            g.font = "bold 13px system-ui, sans-serif";
            for (let i = 0; i < m.rows; i++) {
                const d = m.data[3 * i + 2], hue = ["orange", "sky", "green", "blue", "red", "purple", "ink"][d % 7];
                label(g, d, X(c, m.data[3 * i]), Y(c, m.data[3 * i + 1]) + 4, rgb(hue), "center");
            }
        } else if (name === "here") {
            picture(c, views.here, gray, undefined, true);
            caption(canvas, `drawn at (${short(z[0])}, ${short(z[1])})`);
        } else {
            const m = views.history, n = views.state.data[0], most = 45;
            const x = i => 4 + (c.w - 8) * m.data[3 * i] / Math.max(1, m.data[3 * (n - 1)]);
            const y = v => c.h - 6 - (c.h - 26) * Math.min(v, most) / most;
            for (let v = 0; v <= 40; v += 10)
                line(g, 2, i => i * c.w, () => y(v), rgb("line"), 0.7), label(g, v, c.w - 4, y(v) - 3, rgb("soft"), "right");
            line(g, n, x, i => y(m.data[3 * i + 1]), rgb("red"), 2);
            line(g, n, x, i => y(m.data[3 * i + 2]), rgb("blue"), 2);
            label(g, "-ln p(x|z)", 8, 14, rgb("red"));
            label(g, "KL", 80, 14, rgb("blue"));
            caption(canvas, "nats per digit while it learns: error of the drawing, price of the code");
        }
        if (name === "tiles" || name === "codes") {
            g.strokeStyle = rgb("red");
            g.lineWidth = 2;
            g.strokeRect(X(c, z[0]) - c.w / 24, Y(c, z[1]) - c.h / 24, c.w / 12, c.h / 12);
        }
    },
};

/* ---- numbers under the pictures: [head, rows] ------------------------------------------------ */
const tables = {
    methods: () => [["", "ticks", "U/N", "doubt", "from NUTS: mean", tabs[tab] === "plane" ? "entropy" : "sd"],
        METHODS.map((m, k) => [METHOD_NAMES[k], ...views.methods.data.slice(5 * k, 5 * k + 5)])],
    sampler: () => {
        const s = views.state.data, t = views.truth.data;
        return [["", "R-hat", "ESS", "mean", "true mean", "sd", "true sd"], [0, 1].map(j =>
            ["w" + (j + 1), s[j], s[2 + j], s[4 + j], t[j], s[6 + j], t[2 + j]]).concat(
            [["draws of each chain", s[9]]], value("method") > 1 ? [["mean acceptance", s[8]]] : [])];
    },
    simplex: () => [["", "corner 1", "corner 2", "corner 3", "above 0.99", "E|x - center|^2", "draws"],
        FAMILY_NAMES.map((m, k) => {
            const f = views.families.data.subarray(8 * k, 8 * k + 8);
            return [m, f[0], f[1], f[2], f[3] + f[4] + f[5], f[6], f[7]];
        })],
    noise: () => {
        const p = views.pruned.data;
        return [["", "all weights", "after removing"], [["test digits wrong, %", p[0], p[1]],
            ["weights", p[7], p[2]], ["bits of error, all labels", p[5], ""],
            ["bits of complexity", p[6], ""], ["removed up to |mean|/sd", "", p[3]]]];
    },
    digits: () => [["", "test digits wrong, %", "nll", "entropy on digits", "on shuffled pixels", "AUROC"],
        READERS.map((m, k) => [m, ...[0, 1, 2, 3, 4].map(j => views.judged.data[5 * k + j] || "")])],
    latent: () => [["nats per digit", "-ln p(x|z)", "KL", "-ELBO"],
        [["last minibatches", views.state.data[1], views.state.data[2], views.state.data[1] + views.state.data[2]]]],
};
tables.regression = tables.plane = tables.methods;

function numbers() {
    const [head, rows] = tables[tabs[tab]]();
    const cell = (v, i, tag = "td") => `<${i ? tag : "th scope=row"}>${typeof v === "number" ? short(v, 4) : v}</${i ? tag : "th"}>`;
    $(".numbers thead").innerHTML = "<tr>" + head.map(h => `<th scope=col>${h}</th>`).join("") + "</tr>";
    $(".numbers tbody").innerHTML = rows.map(r => "<tr>" + r.map((v, i) => cell(v, i)).join("") + "</tr>").join("");
    const says = [];
    for (let i = 0; i < 8; i++) if (text(C._play_says(i)))
        says.push((tab < 2 ? METHOD_NAMES[i] + ": " : tabs[tab] === "sampler" ? `chain ${i + 1}: ` : "") + text(C._play_says(i)));
    const html = says.map(s => `<p class="says">${s.replace(/</g, "&lt;")}</p>`).join("");
    if ($("#says").innerHTML !== html) $("#says").innerHTML = html;
}

/* ---- the loop -------------------------------------------------------------------------------- */
function look(which) { /* views are copies of nothing: they point into the program's memory */
    const n = C._play_show(which);
    views = {};
    for (let i = 0; i < n; i++) {
        const rows = C._play_view_rows(i), cols = C._play_view_cols(i), at = C._play_view_data(i) >> 2;
        views[text(C._play_view_name(i))] = { rows, cols, data: C.HEAPF32.subarray(at, at + rows * cols) };
    }
}
function paint(whole) {
    look(whole ? -1 : turn);
    const figures = all("canvas", $("#" + tabs[tab]));
    figures.forEach((canvas, i) => { /* of six methods one at a time is new */
        if (whole || figures.length < 6 || i === turn % 6) draw[tabs[tab]](canvas, canvas.dataset.draw);
    });
    if (whole || turn % 12 === 0) numbers();
    turn = (turn + 1) % 12;
}
const status = s => { if ($("#status").textContent !== s) $("#status").textContent = s; };
function step(now) {
    requestAnimationFrame(step);
    if (!play.ready) return;
    frame++;
    if (now - step.since > 1000) play.fps = (frame - step.frame) * 1000 / (now - step.since), step.since = now, step.frame = frame;
    if (!running || !more) return;
    const start = performance.now(), draws = tabs[tab] === "sampler" ? Math.round(value("speed")) : Infinity;
    const slow = step.cost > 6 && frame % 2, budget = slow ? 12 : Math.min(9, Math.max(4, 13 - step.cost));
    for (let i = 0; more && i < draws && C._play_ticks() < limit && performance.now() - start < budget; i++)
        more = C._play_tick() !== 0;
    if (C._play_ticks() >= limit) more = false;
    play.done = !more;
    if (slow && more) return; /* pictures that take long come at every second frame */
    const before = performance.now();
    paint(play.done);
    step.cost += 0.2 * (performance.now() - before - step.cost);
    buttons();
}
step.since = step.frame = step.cost = 0;
function buttons() {
    const run = $("#run");
    if (more) play.done = false;
    run.textContent = running ? "pause" : "go on";
    run.setAttribute("aria-pressed", running);
    run.disabled = !more;
    status(!more ? `finished after ${C._play_ticks()} ticks` : running ? "running" : "paused");
}
let pending = false;
function again() { /* the scene anew, with the settings as they are */
    C._play_start(tab);
    more = true;
    turn = 0;
    play.done = false;
    paint(true);
    buttons();
    pending = false;
}
const soon = () => { if (!pending) pending = true, requestAnimationFrame(again); };

/* ---- controls -------------------------------------------------------------------------------- */
const SLOTS = 200; /* of a slider that is not of whole numbers */
const rounded = x => Number(x.toPrecision(3));
const fromSlot = (c, p) => c.kind === "whole" ? p : p === 0 ? c.lo : p === SLOTS ? c.hi :
    rounded(c.kind === "log" ? c.lo * (c.hi / c.lo) ** (p / SLOTS) : c.lo + (c.hi - c.lo) * p / SLOTS);
const toSlot = (c, v) => c.kind === "whole" ? v : Math.round(SLOTS * (c.kind === "log"
    ? Math.log(v / c.lo) / Math.log(c.hi / c.lo) : (v - c.lo) / (c.hi - c.lo)));

function set(c, v, restart = true) {
    C._play_set(c.index, v);
    c.value = C._play_control_number(c.index, 2);
    if (c.list) c.input.value = c.value;
    else {
        c.input.value = toSlot(c, c.value);
        c.output.textContent = short(c.value);
        c.input.setAttribute("aria-valuetext", short(c.value));
    }
    if (!restart) return;
    limit = Infinity;
    address();
    if (!c.live || $("#says").innerHTML) soon(); /* what failed begins anew */
    else if (play.ready && (!running || !more)) paint(true);
}
function build() {
    for (let i = 0; i < C._play_controls(); i++) {
        const [where, key, title, kind] = [0, 1, 2, 3].map(k => text(C._play_control_text(i, k)));
        const [lo, hi, v, live] = [0, 1, 2, 3].map(k => C._play_control_number(i, k));
        const list = kind.includes(",") ? kind.split(",") : null;
        const row = document.createElement("label"), id = where + "-" + key;
        const c = { index: i, tab: where, key, kind, lo, hi, live, list, standard: v };
        if (list) row.innerHTML = `<span>${title}</span><select id="${id}">` +
            list.map((s, k) => `<option value="${k}">${s}</option>`).join("") + "</select>";
        else row.innerHTML = `<span>${title}</span><output for="${id}"></output><input id="${id}" type="range" min="${
            kind === "whole" ? lo : 0}" max="${kind === "whole" ? hi : SLOTS}" aria-label="${title}">`;
        c.input = $("input, select", row);
        c.output = $("output", row);
        c.input.addEventListener("input", () => set(c, list ? Number(c.input.value) : fromSlot(c, Number(c.input.value))));
        $("form", $("#" + where)).append(row);
        controls.push(c);
        set(c, v, false);
    }
    all("form").forEach(f => f.addEventListener("submit", e => e.preventDefault()));
}

/* ---- the address ----------------------------------------------------------------------------- */
const place = () => tabs[tab] === "plane" ? 1 : 0;
function address() {
    let s = "tab=" + tabs[tab];
    for (const c of controls) if (c.tab === tabs[tab] && c.value !== c.standard) s += `&${c.key}=${c.value}`;
    if (tab < 2 && edited[place()]) s += "&points=" + edited[place()].map(p =>
        p.slice(0, tabs[tab] === "plane" ? 3 : 2).join(",")).join(";");
    if (tabs[tab] === "digits" && pixels) s += "&pixels=" + pixels.map(v => v.toString(16)).join("");
    if (limit < Infinity) s += "&ticks=" + limit;
    address.made = "#" + s;
    if (location.hash !== address.made) {
        try { history.replaceState(null, "", address.made); } catch (e) { location.hash = address.made; }
    }
}
function points() { /* into the program */
    const mine = edited[place()];
    if (!mine) return C._play_points_default(tab);
    C._play_points_clear(tab);
    for (const p of mine) C._play_point(tab, p[0], p[1], p[2]);
}
function read() { /* the address into everything; nonsense in it is ignored */
    const given = new URLSearchParams(location.hash.slice(1)), at = tabs.indexOf(given.get("tab"));
    tab = at < 0 ? 0 : at;
    for (const c of controls) {
        const v = c.tab === tabs[tab] && given.has(c.key) ? Number(given.get(c.key)) : NaN;
        set(c, isFinite(v) && given.get(c.key) !== "" ? v : c.standard, false);
    }
    if (tab < 2) {
        edited[place()] = !given.has("points") ? null : given.get("points").split(";").map(p => p.split(",").map(Number))
            .filter(p => p.length > 1 && p.every(isFinite)).map(p => [p[0], p[1], p[2] > 0 ? 1 : 0]).slice(0, 100);
        points();
    }
    const hex = given.get("pixels");
    pad.strokes = [];
    if (hex && /^[0-9a-f]{64}$/.test(hex)) ink([...hex].map(v => parseInt(v, 16)));
    else pixels = null, C._play_test_digit(0);
    const ticks = Number(given.get("ticks"));
    limit = ticks > 0 ? ticks : Infinity;
    address();
    show();
}
function show() { /* the tab */
    all("[role=tab]").forEach((b, i) => {
        b.setAttribute("aria-selected", i === tab);
        b.tabIndex = i === tab ? 0 : -1;
    });
    all("[role=tabpanel]").forEach((s, i) => { s.hidden = i !== tab; });
    $("#points").hidden = tab > 1;
    again();
}
function go(to) {
    tab = to;
    limit = Infinity;
    if (tab < 2) points();
    address();
    show();
}

/* ---- mouse, finger and keys on pictures ------------------------------------------------------ */
const pad = { strokes: [], at: 27 };

function touch(x, y) { /* adds a point, or removes the one that is there */
    const at = place(), most = at ? 3 : REACH, now = views.points, list = [];
    for (let i = 0; i < now.rows; i++) list.push([0, 1, 2].map(j => Number(now.data[3 * i + j].toFixed(2))));
    const near = list.findIndex(p => Math.hypot((p[0] - x) / 6, (p[1] - y) / (2 * most)) < 0.02);
    if (near >= 0) list.splice(near, 1);
    else if (list.length < 100) list.push([Number(x.toFixed(2)), Number(y.toFixed(2)), at ? value("add") : 0]);
    edited[at] = list;
    limit = Infinity;
    points();
    address();
    again();
}
function ink(v) { /* 64 numbers 0 to 15 */
    pixels = v;
    v.forEach((x, i) => C._play_pixel(i, x / 15));
}
/* Strokes to 8x8 pixels as the data were made: black or white at 32x32, then the share of each 4x4 block */
function rasterize() {
    const S = 32, m = Object.assign(document.createElement("canvas"), { width: S, height: S });
    const g = m.getContext("2d", { willReadFrequently: true }), at = pad.strokes.flat();
    if (!at.length) return ink(Array(64).fill(0));
    let scale = S, dx = 0, dy = 0;
    if (value("fit")) {
        const lo = [0, 1].map(j => Math.min(...at.map(p => p[j]))), hi = [0, 1].map(j => Math.max(...at.map(p => p[j])));
        scale = (S - 4) / Math.max(hi[0] - lo[0], hi[1] - lo[1], 0.15);
        dx = S / 2 - scale * (lo[0] + hi[0]) / 2;
        dy = S / 2 - scale * (lo[1] + hi[1]) / 2;
    }
    g.lineWidth = 4;
    g.lineCap = g.lineJoin = "round";
    for (const s of pad.strokes) {
        g.beginPath();
        s.forEach((p, i) => i ? g.lineTo(p[0] * scale + dx, p[1] * scale + dy) : g.moveTo(p[0] * scale + dx, p[1] * scale + dy));
        if (s.length === 1) g.lineTo(s[0][0] * scale + dx + 0.01, s[0][1] * scale + dy);
        g.stroke();
    }
    const a = g.getImageData(0, 0, S, S).data, v = Array(64).fill(0);
    for (let i = 0; i < S * S; i++) v[(i >> 7) * 8 + (i % S >> 2)] += a[4 * i + 3] > 127;
    ink(v.map(n => Math.min(15, n)));
}
function moved(x, y) { /* in the plane of the VAE */
    set(control("z1"), rounded(Math.max(-3, Math.min(3, x))));
    set(control("z2"), rounded(Math.max(-3, Math.min(3, y))));
}
function redrawn() {
    address();
    if (!running || !more) paint(true);
}
function pictures() {
    const hints = { points: "Click to add a point, click a point to remove it. Arrow keys move a cross, Enter adds or removes.",
        pad: "Draw with mouse or finger. Arrow keys move, space changes a pixel.",
        plane: "Drag, or arrow keys, to move." };
    for (const canvas of all("canvas")) {
        const where = canvas.closest("section").id, name = canvas.dataset.draw;
        const kind = where === "regression" || where === "plane" ? "points" : name === "pad" ? "pad"
            : name === "tiles" || name === "codes" ? "plane" : "";
        const title = METHOD_NAMES[METHODS.indexOf(name)] || name;
        canvas.setAttribute("role", kind ? "application" : "img");
        canvas.setAttribute("aria-label", `${$("#" + where).dataset.title}, ${title}. ${hints[kind] || ""}`.trim());
        if (!kind) continue;
        canvas.tabIndex = 0;
        if (kind !== "points") canvas.classList.add("touch");
        canvas.addEventListener("focus", () => { cross.on = canvas.matches(":focus-visible"); });
        canvas.addEventListener("blur", () => { cross.on = false; });
        const at = e => { const r = canvas.getBoundingClientRect(); return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height]; };
        const most = where === "regression" ? REACH : 3, to = p => [6 * p[0] - 3, most * (1 - 2 * p[1])];
        if (kind === "points") canvas.addEventListener("click", e => touch(...to(at(e))));
        canvas.addEventListener("pointerdown", e => {
            if (kind === "points") return;
            canvas.setPointerCapture(e.pointerId);
            if (kind === "pad") pad.strokes.push([at(e)]), rasterize(), redrawn();
            else moved(...to(at(e)));
        });
        canvas.addEventListener("pointermove", e => {
            if (!e.buttons || kind === "points") return;
            if (kind === "plane") return moved(...to(at(e)));
            if (!pad.strokes.length) pad.strokes.push([]);
            pad.strokes[pad.strokes.length - 1].push(at(e));
            rasterize();
            redrawn();
        });
        canvas.addEventListener("keydown", e => {
            const d = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
            const enter = e.key === "Enter" || e.key === " " || e.key === "Delete";
            if (!d && !enter) return;
            e.preventDefault();
            cross.on = true;
            if (kind === "plane" && d) moved(value("z1") + 0.1 * d[0], value("z2") + 0.1 * d[1]);
            if (kind === "pad" && d) {
                const x = pad.at % 8 + d[0], y = Math.floor(pad.at / 8) - d[1];
                if (x >= 0 && x < 8 && y >= 0 && y < 8) pad.at = 8 * y + x;
            }
            if (kind === "pad" && enter) {
                const v = Array.from(views.input.data, x => Math.round(15 * x));
                v[pad.at] = v[pad.at] > 7 ? 0 : 15;
                pad.strokes = [];
                ink(v);
            }
            if (kind === "points" && d) cross.x = Math.max(-3, Math.min(3, cross.x + 0.1 * d[0])),
                cross.y = Math.max(-most, Math.min(most, cross.y + 0.1 * d[1]));
            if (kind === "points" && enter) return touch(cross.x, cross.y);
            redrawn();
            if (running && more) paint(true);
        });
    }
    $("[data-do=clear]").addEventListener("click", () => { pad.strokes = []; ink(Array(64).fill(0)); redrawn(); });
    let digit = 0;
    $("[data-do=digit]").addEventListener("click", () => {
        pad.strokes = [];
        C._play_test_digit(digit = (digit + 7) % 300);
        look(-1);
        ink(Array.from(views.input.data, x => Math.round(15 * x)));
        redrawn();
    });
    $("[data-do=shuffle]").addEventListener("click", () => {
        const v = Array.from(views.input.data, x => Math.round(15 * x));
        for (let i = 63; i > 0; i--) { const j = Math.floor(Math.random() * (i + 1)); [v[i], v[j]] = [v[j], v[i]]; }
        pad.strokes = [];
        ink(v);
        redrawn();
    });
    $("#digits-fit").addEventListener("input", () => { if (pad.strokes.length) rasterize(), redrawn(); });
}

/* ---- begin ----------------------------------------------------------------------------------- */
function theme(name) {
    document.documentElement.dataset.theme = name;
    $("#theme").textContent = name === "dark" ? "light" : "dark";
    $("#theme").setAttribute("aria-label", `switch to ${name === "dark" ? "light" : "dark"} colors`);
    colors();
    if (play.ready) paint(true);
}
function listen() {
    $("#run").addEventListener("click", () => { running = !running; limit = Infinity; address(); buttons(); });
    $("#again").addEventListener("click", again);
    $("#defaults").addEventListener("click", () => { history.replaceState(null, "", "#tab=" + tabs[tab]); read(); });
    $("#points").addEventListener("click", () => { edited[place()] = []; points(); address(); again(); });
    $("#link").addEventListener("click", () => {
        address();
        const done = () => status("the address of this situation is in the clipboard");
        navigator.clipboard ? navigator.clipboard.writeText(location.href).then(done, () => status(location.href))
                            : status(location.href);
    });
    $("#theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
    window.addEventListener("hashchange", () => { if (location.hash !== address.made) read(); });
    window.addEventListener("resize", () => paint(true));
    theme(dark.matches ? "dark" : "light");
}
bnn_play().then(module => {
    C = module;
    for (let i = 0; text(C._play_tab(i)); i++) tabs.push(text(C._play_tab(i)));
    tabs.forEach((name, i) => {
        const b = Object.assign(document.createElement("button"), { type: "button", textContent: $("#" + name).dataset.title });
        b.id = "tab-" + name;
        b.setAttribute("role", "tab");
        b.setAttribute("aria-controls", name);
        $("#" + name).setAttribute("aria-labelledby", b.id);
        b.addEventListener("click", () => go(i));
        b.addEventListener("keydown", e => {
            const d = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? tabs.length - 1 : 0;
            if (d) go((tab + d) % tabs.length), $("#tab-" + tabs[tab]).focus();
        });
        $("[role=tablist]").append(b);
    });
    C._play_points_default(0);
    C._play_points_default(1);
    build();
    pictures();
    listen();
    running = !matchMedia("(prefers-reduced-motion: reduce)").matches || /ticks=/.test(location.hash);
    read();
    play.ready = true;
    requestAnimationFrame(step);
});
