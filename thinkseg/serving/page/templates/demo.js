// What the viewers of the page do: singling out, opacity, zoom, drawing, by mouse, finger and keyboard; and the page's address.
// Everything is heard at the document, since Gradio replaces what is inside its parts with each answer.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const FOUND = ["found", "found-b", "sample-found"];
  const kept = new Map(); // what a viewer's visitor has set, by the id of the part that it is in
  const shared = new URLSearchParams(window.location.search);

  const by = (root, wanted) => root.querySelector(wanted);
  const all = (root, wanted) => [...root.querySelectorAll(wanted)];
  const partOf = (node) => node.closest && node.closest(FOUND.map((id) => "#" + id).join(","));
  const viewerOf = (part) => part && by(part, ".viewer");

  const fresh = () => ({ mode: "look", chosen: null, opacity: null, prompts: true, box: null, edits: [], cursor: null, corner: null });
  const stateOf = (part) => {
    if (!kept.has(part.id)) kept.set(part.id, fresh());
    return kept.get(part.id);
  };
  const sizeOf = (viewer) => [Number(viewer.dataset.width), Number(viewer.dataset.height)];
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // ---- showing what is set

  function apply(part) {
    const viewer = viewerOf(part);
    if (!viewer) return;
    const state = stateOf(part);
    const stage = by(viewer, ".stage");
    if (state.opacity !== null) by(viewer, ".strength input").value = state.opacity;
    viewer.style.setProperty("--opacity", by(viewer, ".strength input").value / 100);
    by(viewer, ".prompts input").checked = state.prompts;
    viewer.classList.toggle("without-prompts", !state.prompts);
    viewer.dataset.mode = state.mode;
    all(viewer, "[data-mode]").forEach((button) => {
      if (button.tagName === "BUTTON") button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
    });
    const there = all(stage, ".object").map((object) => Number(object.dataset.number));
    if (!there.includes(state.chosen)) state.chosen = null;
    viewer.classList.toggle("single", state.chosen !== null);
    for (const object of all(stage, ".object")) {
      const own = Number(object.dataset.number) === state.chosen;
      object.classList.toggle("chosen", own);
      object.setAttribute("aria-pressed", String(own));
    }
    for (const pick of picksOf(part)) {
      const own = Number(pick.dataset.pick) === state.chosen;
      pick.setAttribute("aria-pressed", String(own));
      const row = pick.closest("tr");
      if (row) row.classList.toggle("chosen", own);
    }
    stage.setAttribute("viewBox", state.box ? state.box.join(" ") : stage.dataset.box);
    sizeNumbers(stage);
    drawPending(viewer, state);
    const drawn = by(viewer, ".drawn");
    if (drawn) drawn.hidden = state.edits.length === 0;
    const remove = by(viewer, '[data-do="remove"]');
    if (remove) remove.hidden = state.chosen === null;
  }

  // Numbers are of one size on the screen, however large the image is and however near one looks.
  function sizeNumbers(stage) {
    const seen = stage.getScreenCTM();
    if (seen && seen.a > 0) stage.style.fontSize = 13 / seen.a + "px";
  }

  function tableOf(part) {
    return document.getElementById(part.id.replace("found", part.id.startsWith("sample") ? "masks" : "objects"));
  }

  function picksOf(part) {
    const table = tableOf(part);
    return table ? all(table, "[data-pick]") : [];
  }

  function say(part, text) {
    const place = by(viewerOf(part), ".said");
    if (place) place.textContent = text;
  }

  function node(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function drawPending(viewer, state) {
    const pending = by(viewer, ".pending");
    if (!pending) return;
    pending.replaceChildren();
    for (const edit of state.edits) {
      if (edit.remove) {
        const object = by(viewer, `.object[data-number="${edit.object}"]`);
        if (object) object.classList.add("going");
      }
      if (edit.box) {
        const [left, top, right, bottom] = edit.box;
        pending.append(node("rect", { class: "box", x: left, y: top, width: right - left, height: bottom - top }));
      }
      for (const [x, y, label] of edit.points || []) {
        pending.append(node("path", { class: `point ${label ? "on" : "off"}`, d: `M${x} ${y}h0` }));
      }
    }
    const cursor = by(viewer, ".cursor");
    cursor.replaceChildren();
    if (state.cursor) {
      const [x, y] = state.cursor;
      const [width, height] = sizeOf(viewer);
      if (state.corner) {
        const [left, right] = [state.corner[0], x].sort((a, b) => a - b);
        const [top, bottom] = [state.corner[1], y].sort((a, b) => a - b);
        cursor.append(node("rect", { class: "box", x: left, y: top, width: right - left, height: bottom - top }));
      }
      cursor.append(node("path", { class: "cross", d: `M0 ${y}H${width}M${x} 0V${height}` }));
    }
  }

  // ---- singling out

  function choose(part, number) {
    const state = stateOf(part);
    state.chosen = state.chosen === number ? null : number;
    apply(part);
    say(part, state.chosen === null ? "All objects are shown." : `Object ${state.chosen} is singled out.`);
    remember("object", part.id === "found" && state.chosen !== null ? state.chosen : null);
  }

  function hover(part, number) {
    const viewer = viewerOf(part);
    if (!viewer) return;
    viewer.classList.toggle("hovered", number !== null);
    for (const object of all(viewer, ".object")) object.classList.toggle("near", Number(object.dataset.number) === number);
    for (const row of tableOf(part) ? all(tableOf(part), "tr[data-number]") : []) {
      row.classList.toggle("near", Number(row.dataset.number) === number);
    }
  }

  // ---- zoom

  function boxOf(stage) {
    return stage.getAttribute("viewBox").split(" ").map(Number);
  }

  function zoom(part, factor, at) {
    const viewer = viewerOf(part);
    const stage = by(viewer, ".stage");
    const [width, height] = sizeOf(viewer);
    const [left, top, wide, high] = boxOf(stage);
    const [x, y] = at || [left + wide / 2, top + high / 2];
    const scale = clamp(wide * factor, width / 16, width) / wide;
    const state = stateOf(part);
    const box = [x - (x - left) * scale, y - (y - top) * scale, wide * scale, high * scale];
    state.box = wide * scale >= width - 1e-6 ? null : within(box, width, height);
    apply(part);
    say(part, `Zoom ${(width / (state.box ? state.box[2] : width)).toFixed(1)}.`);
  }

  function within([left, top, wide, high], width, height) {
    return [clamp(left, 0, width - wide), clamp(top, 0, height - high), wide, high];
  }

  function pan(part, right, down) {
    const viewer = viewerOf(part);
    const state = stateOf(part);
    if (!state.box) return;
    const [left, top, wide, high] = state.box;
    state.box = within([left + right, top + down, wide, high], ...sizeOf(viewer));
    apply(part);
  }

  // ---- drawing

  function place(stage, event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());
    const [width, height] = sizeOf(stage.closest(".viewer"));
    return [clamp(point.x, 0, width), clamp(point.y, 0, height)].map((value) => Math.round(value * 10) / 10);
  }

  function drawPoint(part, at, label) {
    const state = stateOf(part);
    const last = state.edits[state.edits.length - 1];
    const one = [...at, label];
    if (last && last.object === state.chosen && !last.remove && !last.box) last.points.push(one);
    else state.edits.push({ object: state.chosen, points: [one] });
    apply(part);
    say(part, `A point ${label ? "on" : "beside"} ${named(state.chosen)} at ${at.join(", ")}. Press Apply to segment.`);
  }

  function drawBox(part, from, to) {
    const state = stateOf(part);
    const [left, right] = [from[0], to[0]].sort((a, b) => a - b);
    const [top, bottom] = [from[1], to[1]].sort((a, b) => a - b);
    if (right - left < 1 || bottom - top < 1) return;
    state.edits.push({ object: state.chosen, box: [left, top, right, bottom], points: [] });
    apply(part);
    say(part, `A box for ${named(state.chosen)}. Press Apply to segment.`);
  }

  const named = (chosen) => (chosen === null ? "a new object" : `object ${chosen}`);

  function undo(part) {
    const { edits } = stateOf(part);
    const last = edits[edits.length - 1];
    if (!last) return;
    if (last.points && last.points.length > 1) last.points.pop();
    else edits.pop();
    all(viewerOf(part), ".going").forEach((object) => object.classList.remove("going"));
    apply(part);
  }

  function press(part, wanted) {
    const suffix = part.id === "found-b" ? "-b" : "";
    const state = stateOf(part);
    if (wanted === "undo") undo(part);
    if (wanted === "remove" && state.chosen !== null) {
      state.edits.push({ object: state.chosen, remove: true });
      state.chosen = null;
      apply(part);
      say(part, "The object will be taken away. Press Apply.");
    }
    if (wanted === "apply") {
      by(viewerOf(part), ".stage").focus({ preventScroll: true }); // the button goes, the keyboard stays at the image
      pressHidden("apply" + suffix);
    }
  }

  function pressHidden(id) {
    const button = document.getElementById(id);
    (button.tagName === "BUTTON" ? button : by(button, "button")).click();
  }

  function setMode(part, mode) {
    const state = stateOf(part);
    state.mode = mode;
    state.corner = null;
    state.cursor = null;
    const there = all(viewerOf(part), ".object");
    // A point on an image with one object is meant for it.
    if ((mode === "on" || mode === "off") && there.length === 1) state.chosen = Number(there[0].dataset.number);
    apply(part);
    say(
      part,
      mode === "look"
        ? "A click singles an object out."
        : `Draws on ${named(state.chosen)}. By keyboard: the arrows move the cross, Enter sets, Escape leaves.`,
    );
  }

  // ---- the page's address

  function remember(name, value) {
    const told = new URLSearchParams(window.location.search);
    if (value === null || value === "") told.delete(name);
    else told.set(name, value);
    const text = told.toString();
    history.replaceState(null, "", text ? "?" + text : window.location.pathname);
  }

  function address(viewer) {
    const told = new URLSearchParams(viewer.dataset.shared);
    for (const [name, value] of new URLSearchParams(window.location.search)) {
      if (name.startsWith("__")) told.set(name, value);
    }
    const opacity = stateOf(partOf(viewer)).opacity;
    if (opacity !== null) told.set("opacity", opacity);
    history.replaceState(null, "", "?" + told.toString());
  }

  // ---- events

  let drag = null;

  document.addEventListener("pointerdown", (event) => {
    const stage = event.target.closest && event.target.closest(".stage");
    const part = stage && partOf(stage);
    if (!part || event.button !== 0) return;
    const state = stateOf(part);
    drag = { part, stage, mode: state.mode, from: place(stage, event), x: event.clientX, y: event.clientY, moved: false };
    if (state.mode === "box") {
      stage.setPointerCapture(event.pointerId);
      event.preventDefault();
    }
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag || !drag.stage.isConnected) return;
    const state = stateOf(drag.part);
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) drag.moved = true;
    if (!drag.moved) return;
    if (drag.mode === "box") {
      state.corner = drag.from;
      state.cursor = place(drag.stage, event);
      drawPending(viewerOf(drag.part), state);
    } else if (drag.mode === "look" && state.box) {
      const [right, down] = place(drag.stage, event);
      pan(drag.part, drag.from[0] - right, drag.from[1] - down);
    }
  });

  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { part, stage, mode, from, moved } = drag;
    drag = null;
    if (!stage.isConnected) return;
    const state = stateOf(part);
    if (mode === "box") {
      state.corner = state.cursor = null;
      drawBox(part, from, place(stage, event));
      apply(part);
    } else if (mode !== "look" && !moved) {
      drawPoint(part, place(stage, event), mode === "on" ? 1 : 0);
    } else if (mode === "look" && !moved) {
      const object = event.target.closest(".object");
      if (object) choose(part, Number(object.dataset.number));
      else if (state.chosen !== null) choose(part, state.chosen);
    }
  });

  document.addEventListener("pointercancel", () => (drag = null));

  document.addEventListener("pointerover", (event) => {
    const part = partOf(event.target);
    if (part) {
      const object = event.target.closest(".object");
      hover(part, object ? Number(object.dataset.number) : null);
      return;
    }
    const row = event.target.closest && event.target.closest("tr[data-number], [data-pick]");
    const other = row && shownBy(row);
    if (other) hover(other, Number(row.dataset.number || row.dataset.pick));
    else FOUND.map((id) => document.getElementById(id)).forEach((one) => one && hover(one, null));
  });

  function shownBy(inside) {
    const table = inside.closest('[id^="objects"], #sample-masks');
    if (!table) return null;
    return document.getElementById(table.id === "sample-masks" ? "sample-found" : table.id.replace("objects", "found"));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button");
    if (!button) return;
    if (button.dataset.pick) {
      const part = shownBy(button);
      if (part) choose(part, Number(button.dataset.pick));
      return;
    }
    const part = partOf(button);
    if (!part) return;
    if (button.dataset.mode) setMode(part, button.dataset.mode);
    if (button.dataset.do) press(part, button.dataset.do);
    if (button.dataset.zoom === "in") zoom(part, 0.7);
    if (button.dataset.zoom === "out") zoom(part, 1 / 0.7);
    if (button.dataset.zoom === "fit") {
      stateOf(part).box = null;
      apply(part);
    }
  });

  window.addEventListener("resize", () => all(document, ".stage").forEach(sizeNumbers));

  document.addEventListener("click", (event) => {
    // On a phone the answer is below what is asked, and the examples are below the answer.
    const narrow = window.innerWidth <= 640;
    const pressed = event.target.closest && event.target.closest("#ask, .thumbnail-item");
    if (pressed && (narrow || pressed.id !== "ask")) {
      const told = document.getElementById(pressed.closest("#sheet") ? "sample-verdict" : "verdict");
      told.scrollIntoView({ block: narrow ? "start" : "nearest", behavior: "smooth" });
    }
  });

  document.addEventListener("input", (event) => {
    const part = partOf(event.target);
    if (!part) return;
    const state = stateOf(part);
    if (event.target.type === "range") {
      state.opacity = event.target.value;
      if (part.id === "found") remember("opacity", state.opacity);
    }
    if (event.target.type === "checkbox") state.prompts = event.target.checked;
    apply(part);
  });

  document.addEventListener(
    "wheel",
    (event) => {
      const stage = event.target.closest && event.target.closest(".stage");
      const part = stage && partOf(stage);
      if (!part || !(event.ctrlKey || event.metaKey)) return; // a plain wheel scrolls the page
      event.preventDefault();
      zoom(part, event.deltaY > 0 ? 1.2 : 1 / 1.2, place(stage, event));
    },
    { passive: false },
  );

  function leave(part) {
    const state = stateOf(part);
    if (state.corner) state.corner = null;
    else if (state.mode !== "look") setMode(part, "look");
    else if (state.chosen !== null) choose(part, state.chosen);
    apply(part);
  }

  document.addEventListener("keydown", (event) => {
    const near = event.key === "Escape" && (partOf(event.target) || shownBy(event.target)); // beside the image, too
    if (near && viewerOf(near)) {
      leave(near);
      event.preventDefault();
      return;
    }
    const stage = event.target.closest && event.target.closest(".stage");
    const part = stage && partOf(stage);
    if (!part || event.ctrlKey || event.metaKey || event.altKey) return;
    const state = stateOf(part);
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const viewer = viewerOf(part);
    const [left, top, wide, high] = boxOf(stage);
    let used = true;
    if (event.key === "+" || event.key === "=") zoom(part, 0.7);
    else if (event.key === "-") zoom(part, 1 / 0.7);
    else if (event.key === "0") {
      state.box = null;
      apply(part);
    } else if (arrows[event.key]) {
      const by = (event.shiftKey ? 0.1 : 0.02) * Math.max(wide, high);
      const [right, down] = arrows[event.key].map((value) => value * by);
      if (state.mode === "look") pan(part, right, down);
      else {
        const [width, height] = sizeOf(viewer);
        const [x, y] = state.cursor || [left + wide / 2, top + high / 2];
        state.cursor = [clamp(x + right, 0, width), clamp(y + down, 0, height)].map((v) => Math.round(v * 10) / 10);
        drawPending(viewer, state);
        say(part, `Cross at ${state.cursor.map(Math.round).join(", ")}.`);
      }
    } else if (event.key === "Enter" || event.key === " ") {
      const object = event.target.closest(".object");
      if (state.mode === "look" && object) choose(part, Number(object.dataset.number));
      else if (state.mode === "box" && state.cursor) {
        if (state.corner) {
          drawBox(part, state.corner, state.cursor);
          state.corner = null;
          apply(part);
        } else {
          state.corner = state.cursor;
          say(part, "The first corner is set; move to the other one and press Enter.");
        }
      } else if (state.mode !== "look" && state.cursor) drawPoint(part, state.cursor, state.mode === "on" ? 1 : 0);
      else used = false;
    } else used = false;
    if (used) event.preventDefault();
  });

  document.addEventListener("focusin", (event) => {
    const part = partOf(event.target);
    const object = part && event.target.closest(".object");
    if (object) hover(part, Number(object.dataset.number));
  });

  // ---- new answers

  const ends = new WeakMap(); // how far down each thinking was scrolled to its end
  function showEnd(thinking) {
    // What is written now is in sight, unless a reader went back.
    const end = Math.min(ends.get(thinking) || 0, thinking.scrollHeight - thinking.clientHeight);
    if (thinking.scrollTop < end - 2) return;
    thinking.scrollTop = thinking.scrollHeight;
    ends.set(thinking, thinking.scrollTop);
  }

  let last = new WeakSet();
  new MutationObserver(() => {
    for (const sign of all(document, ".going-on")) showEnd(sign.parentElement);
    for (const id of FOUND) {
      const part = document.getElementById(id);
      const viewer = viewerOf(part);
      const state = part && stateOf(part);
      if (!viewer || (last.has(viewer) && state.answer === viewer.dataset.answer)) continue;
      last.add(viewer);
      const size = viewer.dataset.width + "×" + viewer.dataset.height + by(viewer, "image").getAttribute("href").split("/").pop();
      if (state.answer !== viewer.dataset.answer) {
        // Another answer; the same may come again, and what was drawn on it stays.
        state.edits = [];
        state.cursor = state.corner = null;
      }
      state.answer = viewer.dataset.answer;
      if (state.size !== size) {
        state.box = null; // another image
        state.chosen = null;
      }
      state.size = size;
      if (id === "found" && !state.begun) {
        state.begun = true;
        if (shared.has("opacity")) state.opacity = clamp(Number(shared.get("opacity")) || 0, 0, 100);
        if (shared.has("object")) state.chosen = Number(shared.get("object"));
      }
      if (id !== "found-b" && part.offsetParent !== null) address(viewer);
      if (id === "found" && state.chosen !== null) remember("object", state.chosen);
      apply(part);
    }
    for (const table of all(document, '[id^="objects"], #sample-masks')) {
      const part = table.children.length && shownBy(table);
      if (part && viewerOf(part) && !last.has(table.firstElementChild)) {
        last.add(table.firstElementChild);
        apply(part);
      }
    }
  }).observe(document.documentElement, {
    childList: true,
    subtree: true,
    characterData: true, // and the text of a thinking
    attributeFilter: ["data-answer"], // Gradio may change a viewer that is there in place of bringing another one
  });

  window.thinkseg = {
    edits: (suffix) => JSON.stringify(stateOf(document.getElementById("found" + suffix)).edits),
    restoreIfShared: () => {
      const said = [...shared.keys()].some((name) => !name.startsWith("__"));
      if (said && shared.get("tab") !== "evaluation") pressHidden("restore");
    },
    askIfShared: () => {
      if (shared.has("q") && shared.has("example")) document.getElementById("ask").click();
    },
  };
})();
