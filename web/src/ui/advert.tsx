// An advert as it will be: the picture in its placement's ratio, with headline, call to
// action and logo set over it in the brand's colours, inside the safe zone.

import { useId, useState, type ReactNode } from 'react';
import type { Schemas } from '../api/client';
import type { Kit } from '../api/queries';
import { inkOn, roleColour } from '../colour';
import { classes } from './basics';

type Placement = Schemas['Placement'];

export function ratioOf(placement: Pick<Placement, 'width' | 'height'>): number {
  return placement.width / placement.height;
}

/** Size of the headline in hundredths of the shorter side, by its length in characters. */
function headlineSize(text: string): number {
  if (text.length <= 18) return 9.5;
  if (text.length <= 36) return 7.6;
  if (text.length <= 60) return 6.2;
  return 5.2;
}

export function Overlay({ placement, kit, headline, callToAction, logo }: { placement: Placement; kit: Kit | null | undefined; headline?: string; callToAction?: string; logo?: string }) {
  if (!headline && !callToAction && !logo) return null;
  const ratio = ratioOf(placement);
  const zone = placement.safe_zone;
  const ground = roleColour(kit, 'primary') ?? '#1c2733';
  const button = roleColour(kit, 'accent') ?? ground;
  const tall = ratio < 0.7;
  return (
    <div className="pointer-events-none absolute inset-0" style={{ containerType: 'size' }}>
      <div className="absolute inset-0" style={{ background: `linear-gradient(to bottom, color-mix(in oklab, ${ground} 35%, #0009) 0%, color-mix(in oklab, ${ground} 30%, #0005) ${tall ? 24 : 26}%, transparent ${tall ? 44 : 58}%)` }} />
      <div
        className={classes('absolute flex flex-col', tall ? 'items-center text-center' : 'items-start')}
        style={{
          top: `max(5cqmin, ${zone.top}cqh)`,
          bottom: `max(5cqmin, ${zone.bottom}cqh)`,
          left: `max(6cqmin, ${zone.sides}cqw)`,
          right: ratio > 1.3 ? '42cqw' : `max(6cqmin, ${zone.sides}cqw)`,
          gap: '3cqmin',
        }}
      >
        {logo && <img src={logo} alt="" className="object-contain" style={{ height: '10cqmin', minWidth: '10cqmin', maxWidth: '36cqmin', padding: '1.2cqmin', borderRadius: '1.6cqmin', background: roleColour(kit, 'background') ?? '#fff' }} />}
        {headline && (
          <p className="m-0 font-semibold text-balance" style={{ fontSize: `${headlineSize(headline)}cqmin`, lineHeight: 1.12, letterSpacing: '-0.02em', color: '#fff', overflowWrap: 'anywhere' }}>
            {headline}
          </p>
        )}
        {callToAction && (
          <span className="font-semibold" style={{ fontSize: '3.9cqmin', lineHeight: 1, padding: '2.1cqmin 3.6cqmin', borderRadius: '99px', background: button, color: inkOn(button) }}>
            {callToAction}
          </span>
        )}
      </div>
    </div>
  );
}

/** A scene in the brand's colours, where there is no picture of its own yet. */
export function SampleScene({ kit, ratio, children }: { kit: Kit | null | undefined; ratio: number; children?: ReactNode }) {
  const id = useId();
  const by = (role: string, at: number, other: string) => {
    const hex = kit?.colours?.find((colour) => colour.role === role)?.hex ?? kit?.colours?.[at]?.hex ?? other;
    return /^#[0-9a-f]{6}$/i.test(hex) ? hex : other;
  };
  const [ground, light, accent] = [by('primary', 0, '#4a5663'), by('background', 1, '#d5d9de'), by('accent', 2, '#8a94a0')];
  const width = 100 * ratio;
  const x = ratio > 1.2 ? width * 0.68 : width / 2;
  const size = Math.min(1, ratio * 1.15);
  return (
    <div className="absolute inset-0">
      <svg viewBox={`0 0 ${width} 100`} preserveAspectRatio="xMidYMid slice" className="absolute inset-0 h-full w-full" aria-hidden>
        <defs>
          <linearGradient id={id} x1="0" y1="0" x2="1" y2="1">
            <stop stopColor={light} />
            <stop offset="1" stopColor={`color-mix(in oklab, ${light} 45%, ${ground})`} />
          </linearGradient>
        </defs>
        <rect width={width} height="100" fill={`url(#${id})`} />
        <circle cx={x + 8 * size} cy="46" r={30 * size} fill={accent} opacity=".3" />
        <rect y="66" width={width} height="34" fill={`color-mix(in oklab, ${ground} 72%, ${light})`} />
        <g transform={`translate(${x} ${78}) scale(${size})`}>
          <ellipse cx="4" cy="1" rx="19" ry="2.6" fill="#000" opacity=".28" />
          <path d="M-9 -26h18v22a5 5 0 0 1-5 5h-8a5 5 0 0 1-5-5z" fill={ground} />
          <path d="M-5 -36h10v10h-10z" fill={ground} />
          <path d="M-9 -26h5v27h-0a5 5 0 0 1-5-5z" fill="#fff" opacity=".2" />
          <rect x="-5.5" y="-41" width="11" height="6" rx="1.5" fill={accent} />
          <rect x="-9" y="-18" width="18" height="11" fill={light} />
          <circle cx="21" cy="-3.5" r="4.5" fill={accent} />
        </g>
      </svg>
      {children}
    </div>
  );
}

/** What the platform covers, drawn over a preview. */
export function SafeZone({ zone, shown }: { zone: Placement['safe_zone']; shown: boolean }) {
  if (!zone.top && !zone.bottom && !zone.sides) return null;
  return (
    <div
      aria-hidden
      className={classes('pointer-events-none absolute border border-dashed transition-opacity duration-120', shown ? 'opacity-100' : 'opacity-0 group-hover/advert:opacity-100')}
      style={{ top: `${zone.top}%`, bottom: `${zone.bottom}%`, left: `${zone.sides}%`, right: `${zone.sides}%`, borderColor: '#fff', boxShadow: '0 0 0 100vmax #0007' }}
    />
  );
}

/** A picture that fades in when it has come, on a box that has its ratio from the beginning. */
export function Picture({ src, alt, ratio, eager, fit = 'cover' }: { src?: string | null; alt: string; ratio?: number; eager?: boolean; fit?: 'cover' | 'contain' }) {
  const [broken, setBroken] = useState<string>();
  return (
    <div className="relative h-full w-full overflow-hidden bg-sunken" style={ratio ? { aspectRatio: ratio } : undefined}>
      {src && broken !== src && (
        <img
          key={src}
          src={src}
          alt={alt}
          loading={eager ? 'eager' : 'lazy'}
          decoding="async"
          onError={() => setBroken(src)}
          className={classes('reveal absolute inset-0 h-full w-full', fit === 'cover' ? 'object-cover' : 'object-contain')}
        />
      )}
    </div>
  );
}
