// What a person with a screen reader, a keyboard or weak eyes would trip over in this page, as sentences; run inside the page.
// WCAG 2.2 success criteria in brackets. Nothing here knows the product.
() => {
  const problems = [];
  const say = (criterion, element, sentence) =>
    problems.push(`[${criterion}] ${sentence}: ${element.outerHTML.replace(/\s+/g, " ").slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const style = (element) => getComputedStyle(element);
  const shown = (element) =>
    element.getClientRects().length > 0 && style(element).visibility === "visible" && !element.closest("[aria-hidden=true]");
  const offScreen = (element) => element.matches(".visually-hidden, .visually-hidden *, .skip") || style(element).clipPath !== "none";

  // Names: what is read aloud for an element.
  const textOf = (element) =>
    [...element.childNodes]
      .map((node) => {
        if (node.nodeType === Node.TEXT_NODE) return node.data;
        if (node.nodeType !== Node.ELEMENT_NODE || node.matches("[aria-hidden=true], [hidden]")) return "";
        if (node.matches("img, [role=img]")) return node.getAttribute("alt") ?? node.getAttribute("aria-label") ?? "";
        if (node.matches("svg")) return node.getAttribute("aria-label") ?? node.querySelector("title")?.textContent ?? "";
        if (node.matches("input, select, textarea")) return "";
        return textOf(node);
      })
      .join("");
  const nameOf = (element) => {
    const by = (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
    const names = [
      by.map((id) => document.getElementById(id)?.textContent ?? "").join(" "),
      element.getAttribute("aria-label"),
      ...[...(element.labels ?? [])].map(textOf),
      element.matches("button, a, summary, legend, th, [role=button]") ? textOf(element) : "",
      element.matches("fieldset") ? (element.querySelector("legend")?.textContent ?? "") : "",
      element.getAttribute("alt"),
      element.getAttribute("title"),
    ];
    return names.map((name) => (name ?? "").trim()).find(Boolean) ?? "";
  };

  // The document.
  const root = document.documentElement;
  if (!root.lang) say("3.1.1", root, "the page does not say its language");
  if (!document.title.trim()) say("2.4.2", root, "the page has no title");
  const zoom = document.querySelector("meta[name=viewport]")?.content ?? "";
  if (/user-scalable\s*=\s*(no|0)|maximum-scale\s*=\s*[01](\.\d+)?\b/.test(zoom)) say("1.4.4", root, "the page forbids zooming");
  if (all("main").filter(shown).length !== 1) say("1.3.1", document.body, "there is not exactly one main");
  const headings = all("h1, h2, h3, h4, h5, h6").filter(shown);
  if (headings.filter((heading) => heading.tagName === "H1").length !== 1) say("1.3.1", document.body, "there is not exactly one h1");
  headings.reduce((before, heading) => {
    const level = Number(heading.tagName[1]);
    if (level > before + 1) say("1.3.1", heading, `a heading of level ${level} follows one of level ${before}`);
    return level;
  }, 0);
  for (const heading of headings) if (!textOf(heading).trim()) say("2.4.6", heading, "a heading says nothing");

  // References.
  const ids = all("[id]").map((element) => element.id);
  for (const element of all("[id]")) if (ids.filter((id) => id === element.id).length > 1) say("4.1.1", element, "an id is given twice");
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for"])
    for (const element of all(`[${attribute}]`))
      for (const id of element.getAttribute(attribute).split(/\s+/))
        if (!document.getElementById(id)) say("1.3.1", element, `${attribute} points at nothing`);

  // Controls.
  const controls = all("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex], [role=button]").filter(shown);
  for (const control of controls) {
    if (control.matches("[tabindex='-1']") && !control.matches("a, button, input, select, textarea")) continue;
    if (!nameOf(control)) say("4.1.2", control, "a control has no name");
    if (control.tabIndex > 0) say("2.4.3", control, "a control jumps the order of focus");
    const box = control.matches("label input") ? control.closest("label").getBoundingClientRect() : control.getBoundingClientRect();
    const inText = control.matches("a") && style(control).display === "inline";
    if (!inText && !offScreen(control) && (box.width < 24 || box.height < 24))
      say("2.5.8", control, `a target is ${Math.round(box.width)} by ${Math.round(box.height)} pixels`);
  }
  for (const element of all("[aria-hidden=true]"))
    if (element.querySelector("a[href], button, input, select, textarea, [tabindex]:not([tabindex='-1'])"))
      say("4.1.2", element, "something that takes the focus is hidden from screen readers");
  for (const image of all("img")) if (!image.hasAttribute("alt")) say("1.1.1", image, "an image has no alternative text");
  for (const drawing of all("svg")) {
    const hidden = drawing.closest("[aria-hidden=true]");
    if (!hidden && !nameOf(drawing) && !drawing.querySelector("title")) say("1.1.1", drawing, "a drawing has no name");
  }
  const groups = Object.groupBy
    ? Object.values(Object.groupBy(all("input[type=radio]").filter(shown), (radio) => `${radio.form?.action}#${radio.name}`))
    : [];
  for (const group of groups)
    if (!group[0].closest("fieldset, [role=radiogroup]")) say("1.3.1", group[0], "a choice among several has no group with a name");
  for (const group of all("fieldset")) if (!nameOf(group)) say("1.3.1", group, "a group of fields has no legend");

  // Structure.
  for (const list of all("ul, ol"))
    if ([...list.children].some((child) => !child.matches("li, script, template"))) say("1.3.1", list, "a list holds something that is no item");
  for (const item of all("li")) if (!item.parentElement.matches("ul, ol, menu")) say("1.3.1", item, "an item is in no list");
  for (const table of all("table")) {
    if (!table.querySelector("th")) say("1.3.1", table, "a table has no header cells");
    for (const cell of table.querySelectorAll("th")) if (!nameOf(cell)) say("1.3.1", cell, "a header cell is empty");
  }

  // Contrast: text against what is painted behind it.
  // A computed colour may be oklab(), color() or rgb(); painting one pixel tells what it is.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const read = new Map();
  const parse = (colour) => {
    if (!read.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
      read.set(colour, [red, green, blue, alpha / 255]);
    }
    return read.get(colour);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const base = parse(style(root).colorScheme.startsWith("dark") || matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#ffffff");
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(style(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), base);
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || judged.has(element) || !shown(element) || offScreen(element)) continue;
    if (element.closest("[disabled], script, style, option, svg")) continue;
    judged.add(element);
    const { color, fontSize, fontWeight, opacity } = style(element);
    const ground = behind(element);
    const [r, g, b, a] = parse(color);
    const ratio = contrast(over([r, g, b, a * Number(opacity)], ground), ground);
    const large = parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && Number(fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005) say("1.4.3", element, `text has a contrast of ${ratio.toFixed(2)}`);
  }
  // The edge of what is written into (1.4.11).
  for (const field of all("input:not([type=hidden]):not([type=checkbox]):not([type=radio]), select, textarea").filter(shown)) {
    if (style(field).borderTopStyle === "none" || offScreen(field)) continue;
    const ratio = contrast(over(parse(style(field).borderTopColor), behind(field.parentElement)), behind(field.parentElement));
    if (ratio < 3) say("1.4.11", field, `the edge of a field has a contrast of ${ratio.toFixed(2)}`);
  }
  // A page of 320 CSS pixels does not scroll to the side (1.4.10); tables and preformatted text may, in themselves.
  if (root.scrollWidth > root.clientWidth) say("1.4.10", root, `the page is ${root.scrollWidth - root.clientWidth} pixels wider than its window`);
  return problems;
}
