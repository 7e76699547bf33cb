/** The reading page: the viewer, the decision's keys, the heat map, the lease. */

import { bindDecision } from "./reading-decision.js";
import { bindDraft } from "./reading-draft.js";
import { bindHeatMap } from "./reading-heatmap.js";
import { bindLease } from "./reading-lease.js";
import { mountViewer } from "./viewer/index.js";
import { bindUndo } from "./undo.js";
import { Keys, bindKeysPanel } from "./viewer/keys.js";

const keys = new Keys();
const { viewport } = mountViewer(document.querySelector("[data-viewer]"), keys, document.querySelector("[data-marks]"));
bindHeatMap(keys, viewport);
bindDecision(keys); // last of what changes the panel's height: it brings a fault into view
bindDraft();
bindUndo(keys);
bindLease();
bindKeysPanel(keys);
