// Every text on the page with its contrast to what is behind it.
() => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const strength = (node) => {
    let whole = 1;
    for (let one = node; one; one = one.parentElement) whole *= Number(getComputedStyle(one).opacity);
    return whole;
  };
  const ratio = (colour, node, ground) => {
    const text = rgba(colour); text[3] *= strength(node);
    const [high, low] = [over(text, ground), ground].map(luminance).sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length > 0;
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName) || !seen(node)) continue;
    if (node.closest("button:disabled, [disabled]")) continue;
    const style = getComputedStyle(node);
    const inDrawing = node.closest("svg");
    const ground = inDrawing ? rgba(getComputedStyle(node.previousElementSibling || node).fill) : behind(node);
    found.push([text.slice(0, 40), ratio(inDrawing ? style.fill : style.color, node, ground)]);
  }
  for (const field of document.querySelectorAll("input, textarea")) {
    if (!seen(field) || field.disabled) continue;
    if (field.placeholder && !field.value) {
      found.push([field.placeholder, ratio(getComputedStyle(field, "::placeholder").color, field, behind(field))]);
    }
    if (field.value && !["range", "checkbox"].includes(field.type)) {
      found.push([field.value, ratio(getComputedStyle(field).color, field, behind(field))]);
    }
  }
  return found;
}
