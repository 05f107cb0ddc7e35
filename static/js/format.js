// Durations and ages, said as orchestration/web/format.py says them.

const ages = (document.documentElement.dataset.ages ?? "").split("|");

export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${two(Math.floor((whole % 86400) / 3600))} h`;
}

/** How long ago; null for what is old enough to be a date. */
export function age(seconds) {
  if (seconds < 5) return ages[0];
  const steps = [[60, 1], [3600, 60], [86400, 3600]];
  const step = steps.findIndex(([below]) => seconds < below);
  return step < 0 ? null : ages[step + 1].replace("%(count)d", Math.floor(seconds / steps[step][1]));
}

/** How long it is until then, as orchestration/queries/sentences.py spells it. */
export function left(seconds) {
  if (seconds < 90) return `${Math.round(Math.max(0, seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
