// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';
import all from './vitest.config.ts';

/** Of the code that decides: what of it those tests reach that call it in their own process. The ones that start programs would add nothing but minutes. */
export default defineConfig({
  ...all,
  test: { ...all.test, include: ['test/{anchors,base,conformance,fixtures,oms,pipeline,plan,policy,sign,trust}/**/*.test.ts'] },
});
