import { ButtonLink, Empty } from '../ui/basics';
import { words } from '../words';

export default function NotFound() {
  return (
    <main className="grid min-h-dvh place-items-center">
      <Empty title={words.errors.noPageTitle} action={<ButtonLink kind="primary" href="/">{words.nav.home}</ButtonLink>}>
        {words.errors.noPage}
      </Empty>
    </main>
  );
}
