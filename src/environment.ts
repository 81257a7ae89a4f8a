/** The one place that reads the variables of the environment, so that every variable there is can be found from here. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env
}
