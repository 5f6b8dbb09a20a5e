import "temml/dist/Temml-Local.css";
import temml from "temml";

export default temml;
