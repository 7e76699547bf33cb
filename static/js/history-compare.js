/** Two scans of a patient side by side: the viewer of the reading page, with the second image open from the start. */

import { mountViewer } from "./viewer/index.js";
import { Keys } from "./viewer/keys.js";

const section = document.querySelector("[data-viewer]");
mountViewer(section, new Keys());
[...section.querySelectorAll("[data-film]")].find(({ dataset }) => dataset.film === section.dataset.open)?.click();
