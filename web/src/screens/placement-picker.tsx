import type { Schemas } from '../api/client';
import { classes } from '../ui/basics';
import { words } from '../words';
import { createWords } from '../words/create';

/** A placement's true ratio, `size` pixels at its longer side. */
export function Outline({ ratio, size = 40, on }: { ratio: number; size?: number; on?: boolean }) {
  return (
    <span aria-hidden className="grid shrink-0 place-items-center" style={{ height: size, minWidth: size }}>
      <span className={classes('block rounded-[3px] border-[1.5px]', on ? 'border-accent bg-accent' : 'border-edge')} style={{ width: ratio >= 1 ? size : size * ratio, height: ratio >= 1 ? size / ratio : size }} />
    </span>
  );
}

/** Placements as small outlines of their true ratios, by platform. */
export function PlacementPicker({ placements, chosen, onChange, error }: { placements: Schemas['Placement'][]; chosen: string[]; onChange: (ids: string[]) => void; error?: string }) {
  const platforms = [...new Set(placements.map((placement) => placement.platform))];
  return (
    <fieldset id="placements" tabIndex={-1} className="flex flex-col gap-4 outline-none" aria-describedby={error && 'placements-error'}>
      <legend className="mb-2 font-medium">{createWords.placements}</legend>
      {platforms.map((platform) => (
        <div key={platform}>
          <p className="mb-2 text-caption text-muted">{words.platforms[platform] ?? platform}</p>
          <div className="grid grid-cols-2 gap-2 sm:grid-cols-4">
            {placements
              .filter((placement) => placement.platform === platform)
              .map((placement) => {
                const on = chosen.includes(placement.id);
                const ratio = placement.width / placement.height;
                return (
                  <label
                    key={placement.id}
                    className={classes('flex cursor-pointer flex-col items-center gap-2 rounded-panel border px-2 pt-3 pb-2 text-center has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent', on ? 'border-accent bg-accent-soft' : 'hover:bg-sunken')}
                  >
                    <input
                      type="checkbox"
                      className="sr-only"
                      checked={on}
                      onChange={() => onChange(placements.filter((one) => (one.id === placement.id ? !on : chosen.includes(one.id))).map((one) => one.id))}
                    />
                    <Outline ratio={ratio} on={on} />
                    <span className="text-table leading-4">{placement.name}</span>
                    <span className="numbers text-caption text-muted">{words.pixels(placement.width, placement.height)}</span>
                  </label>
                );
              })}
          </div>
        </div>
      ))}
      {error && (
        <p id="placements-error" className="text-caption text-bad">
          {error}
        </p>
      )}
    </fieldset>
  );
}
