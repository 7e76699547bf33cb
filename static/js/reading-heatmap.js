/** The heat map's switch and slider. Off until asked for; that it was looked at travels with the final read. */

import { Overlay } from "./viewer/overlay.js";

export function bindHeatMap(keys, viewport) {
  const overlays = new Map();
  const box = () => document.querySelector("[data-heatmap]");
  const overlayOf = (element) => {
    const url = element.dataset.heatmap;
    if (!overlays.has(url)) overlays.set(url, new Overlay(viewport, url));
    return overlays.get(url);
  };

  async function toggle(element, shown) {
    const overlay = overlayOf(element);
    const broken = element.querySelector("[data-heatmap-broken]");
    const more = element.querySelector("[data-heatmap-more]");
    broken.hidden = true;
    more.hidden = !shown;
    if (!shown) return overlay.hide();
    try {
      await overlay.show();
      // The map belongs to one image of a stack.
      const peak = document.querySelector("[data-profile]")?.dataset.peak;
      if (peak !== undefined) viewport.stack?.go(Number(peak));
      const seen = document.querySelector("[data-heatmap-seen]");
      if (seen) seen.value = "1";
    } catch {
      overlay.hide();
      broken.hidden = false;
      more.hidden = true;
      element.querySelector("[data-heatmap-shown]").checked = false;
    }
    return undefined;
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-heatmap-shown]")) toggle(box(), event.target.checked);
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-heatmap-opacity]")) overlayOf(box()).setOpacity(event.target.value / 100);
    if (event.target.matches("[data-heatmap-threshold]")) overlayOf(box()).setThreshold(event.target.value / 100);
  });
  const reveal = () => {
    if (box()) box().hidden = false;
  };
  document.addEventListener("htmx:afterSwap", reveal);
  reveal();
  keys.add({
    name: "heatmap",
    keys: ["g"],
    when: () => box() !== null,
    run: () => box().querySelector("[data-heatmap-shown]").click(),
  });
}
