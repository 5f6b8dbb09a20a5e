// Colours of a hearth: paper and ash, charcoal, embers. Mantine's components take them from here; the page's own
// styles from the custom properties in theme.css.
import { createTheme, defaultVariantColorsResolver, type MantineColorsTuple } from "@mantine/core";

const ember: MantineColorsTuple = [
  "#fdf0e8", "#f9dfcf", "#f2bd9d", "#ec9a69", "#e77d3f", "#e26a24", "#c9551a", "#a94412", "#88360f", "#5f260b",
];
const ash: MantineColorsTuple = [
  "#faf7f2", "#f3eee6", "#e8e0d5", "#d9cfc1", "#bdb0a0", "#94877a", "#726559", "#574b41", "#3d342d", "#2a231e",
];
const charcoal: MantineColorsTuple = [
  "#ece4da", "#cfc5b9", "#b3a799", "#8f8377", "#5f544b", "#463d36", "#362e29", "#292320", "#1d1916", "#151210",
];

export const theme = createTheme({
  primaryColor: "ember",
  primaryShade: { light: 7, dark: 4 },
  autoContrast: true,
  luminanceThreshold: 0.28,
  // Mantine judges by the light shade alone; this one follows the scheme.
  variantColorResolver: (input) => ({
    ...defaultVariantColorsResolver(input),
    ...(input.variant === "filled" && (input.color ?? "ember") === "ember" && { color: "var(--mantine-primary-color-contrast)" }),
  }),
  colors: { ember, gray: ash, dark: charcoal },
  white: "#fffdf9",
  black: "#2a231e",
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  fontFamily: "var(--font)",
  fontFamilyMonospace: "var(--font-mono)",
  headings: { fontFamily: "var(--font)", fontWeight: "600" },
});
