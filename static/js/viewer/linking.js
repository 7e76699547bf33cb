/**
 * Which image of one stack belongs beside an image of another: the same place in the patient where the files let one
 * know it, else the same distance from where the two were linked.
 */

/** The index of the image nearest to a place; null where no image has one. */
export function nearest(positions, mm) {
  let best = null;
  positions.forEach((each, index) => {
    if (each !== null && (best === null || Math.abs(each - mm) < Math.abs(positions[best] - mm))) best = index;
  });
  return best;
}

/**
 * How two stacks can be linked: `same` (places of one frame of reference and one plane), `shift` (one plane, other
 * visits: by distance), `share` (nothing is known of where they lie: by the share of the way), `none` (other planes).
 */
export function linkOf(one, other) {
  const placed = (stack) => stack.positions.some((mm) => mm !== null);
  if (one.plane && other.plane && one.plane !== other.plane) return "none";
  if (!placed(one) || !placed(other)) return "share";
  if (one.space && one.space === other.space) return "same";
  return one.plane && one.plane === other.plane ? "shift" : "share";
}

/** The middles of two stacks in the body: where stacks of different visits begin to be linked. */
export function shiftBetween(one, other) {
  const middle = ({ positions }) => {
    const known = positions.filter((mm) => mm !== null);
    return (Math.min(...known) + Math.max(...known)) / 2;
  };
  return middle(other) - middle(one);
}

/** The index in `other` that belongs beside `index` of `one`; null where the link says nothing of it. */
export function beside(one, other, index, link, shift = 0) {
  if (link === "none") return null;
  if (link === "share") {
    return one.count < 2 ? 0 : Math.round((index / (one.count - 1)) * (other.count - 1));
  }
  const mm = one.positions[index];
  return mm === null ? null : nearest(other.positions, mm + shift);
}
