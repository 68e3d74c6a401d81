// An extra: everything works without it. Keys move through rows and open decisions; the bar adds up what is ticked.
"use strict";
(() => {
  const rows = [...document.querySelectorAll("tr[data-row]")];
  const chosen = document.getElementById("chosen");
  let at = -1;
  const boxOf = (row) => row.querySelector("input[type=checkbox]");
  const written = (minor, places) => {
    const digits = (minor < 0n ? -minor : minor).toString().padStart(places + 1, "0");
    const whole = (places ? digits.slice(0, -places) : digits).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
    return (minor < 0n ? "−" : "") + whole + (places ? "." + digits.slice(-places) : "");
  };
  const addUp = () => {
    if (!chosen) return;
    const sums = new Map();
    let count = 0;
    for (const row of rows) {
      const box = boxOf(row);
      if (!box || !box.checked) continue;
      count += 1;
      const sum = sums.get(row.dataset.currency) || { net: 0n, gross: 0n, places: Number(row.dataset.places) };
      const net = BigInt(row.dataset.net);
      sum.net += net;
      sum.gross += net < 0n ? -net : net;
      sums.set(row.dataset.currency, sum);
    }
    const parts = [...sums].map(([currency, sum]) => `${written(sum.net, sum.places)} ${currency} net, ${written(sum.gross, sum.places)} gross`);
    chosen.textContent = count ? `${count} selected, ${parts.join("; ")}` : chosen.dataset.none;
  };
  const go = (next) => {
    if (!rows.length) return;
    if (at >= 0) rows[at].classList.remove("current");
    at = Math.max(0, Math.min(rows.length - 1, next));
    rows[at].classList.add("current");
    rows[at].scrollIntoView({ block: "nearest" });
  };
  const decide = (action) => {
    const radio = document.querySelector(`input[type=radio][name=do][value=${action}]`);
    if (radio) {
      radio.checked = true;
      document.getElementById("reason").focus();
      return;
    }
    const bulk = document.getElementById("bulk");
    if (!bulk) return;
    if (!rows.some((row) => boxOf(row) && boxOf(row).checked) && at >= 0 && boxOf(rows[at])) boxOf(rows[at]).checked = true;
    const button = bulk.querySelector(`button[name=do][value=${action}]`);
    if (button && rows.some((row) => boxOf(row) && boxOf(row).checked)) button.click();
  };
  const follow = (id) => { const link = document.getElementById(id); if (link) link.click(); return Boolean(link); };
  const focus = (id) => { const field = document.getElementById(id); if (field) field.focus(); };
  const keys = {
    j: () => follow("next") || go(at + 1),
    k: () => follow("previous") || go(at - 1),
    x: () => { const box = at >= 0 && boxOf(rows[at]); if (box) { box.checked = !box.checked; addUp(); } },
    a: () => decide("accept"),
    c: () => decide("change_cause"),
    w: () => decide("write_off"),
    n: () => focus("note"),
    "/": () => focus("q"),
    "?": () => { const link = [...document.querySelectorAll("nav a")].find((one) => one.pathname.endsWith("/help")); if (link) link.click(); },
    Enter: () => { const link = at >= 0 && rows[at].querySelector("a.open"); if (link) link.click(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { document.activeElement.blur(); return; }
    const tag = event.target.tagName;
    if (tag === "INPUT" && event.target.type !== "checkbox" && event.target.type !== "radio" || tag === "SELECT" || tag === "TEXTAREA" || tag === "BUTTON" || tag === "A") return;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  document.addEventListener("change", addUp);
  addUp();
  const month = document.querySelector(".month select");
  if (month) month.addEventListener("change", () => month.form.submit());
})();
