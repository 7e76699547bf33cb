/** The reading page: the viewer, the decision's keys, the heat map, the lease. */

import { bindDecision } from "./reading-decision.js";
import { bindDraft } from "./reading-draft.js";
import { bindHeatMap } from "./reading-heatmap.js";
import { bindLease } from "./reading-lease.js";
import { mountViewer } from "./viewer/index.js";
import { keepView } from "./viewer/keeping.js";
import { bindSession } from "./session.js";
import { bindUndo } from "./undo.js";
import { Keys, bindKeysPanel } from "./viewer/keys.js";

// What answers a form stands at the form's address, which cannot be opened or loaded anew. Where the claim has ended, what
// was entered stands only on this page: there the browser's question before it is loaded anew is right.
const { address } = document.querySelector("[data-case]").dataset;
const answered = location.pathname !== address && !document.querySelector("[name=kept]");
if (answered) history.replaceState(null, "", address);
bindSession(); // first: a form that is held back here is held back before anything else looks at it
const keys = new Keys();
const section = document.querySelector("[data-viewer]");
const { viewport, tools } = mountViewer(section, keys, document.querySelector("[data-marks]"));
keepView(viewport, section.dataset.pixels);
bindAnswers(viewport, tools);
bindHeatMap(keys, viewport);
bindDecision(keys); // last of what changes the panel's height: it brings a fault into view
bindDraft({ unsaved: answered });
bindUndo(keys);
bindLease();
bindKeysPanel(keys);

/**
 * While something is measured, arrows and Enter are the image's, also after an answer was clicked: a radio button that
 * kept the focus would take them, and change the answer. Whoever came to it by Tab wants to choose by arrows.
 */
function bindAnswers({ canvas }, measuring) {
  let clicked = false;
  document.addEventListener("pointerdown", () => (clicked = true), true);
  document.addEventListener("keydown", () => (clicked = false), true);
  document.addEventListener("click", ({ target }) => {
    if (clicked && measuring.measures && target.matches("[data-panel] input:is([type=radio], [type=checkbox])")) {
      canvas.focus({ preventScroll: true });
    }
  });
}
