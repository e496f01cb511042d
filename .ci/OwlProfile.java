import java.io.File;
import org.semanticweb.HermiT.Reasoner;
import org.semanticweb.owlapi.apibinding.OWLManager;
import org.semanticweb.owlapi.model.OWLClass;
import org.semanticweb.owlapi.model.OWLOntology;
import org.semanticweb.owlapi.profiles.OWL2DLProfile;
import org.semanticweb.owlapi.profiles.OWL2RLProfile;
import org.semanticweb.owlapi.profiles.OWLProfile;
import org.semanticweb.owlapi.profiles.OWLProfileViolation;

/** Says of each OWL file whether it is in OWL 2 DL and in OWL 2 RL, consistent, and without classes that nothing can be. */
public class OwlProfile {
    public static void main(String[] files) throws Exception {
        int wrong = 0;
        for (String file : files) {
            OWLOntology ontology =
                    OWLManager.createOWLOntologyManager().loadOntologyFromOntologyDocument(new File(file));
            System.out.println(file + ": " + ontology.getAxiomCount() + " axioms");
            if (ontology.getAxiomCount() == 0) {
                wrong++;
            }
            for (OWLProfile profile : new OWLProfile[] {new OWL2DLProfile(), new OWL2RLProfile()}) {
                var report = profile.checkOntology(ontology);
                System.out.println("  " + profile.getName() + ": " + (report.isInProfile() ? "yes" : "NO"));
                for (OWLProfileViolation violation : report.getViolations()) {
                    wrong++;
                    System.out.println("    " + violation);
                }
            }
            Reasoner reasoner = new Reasoner(ontology);
            System.out.println("  consistent (HermiT): " + (reasoner.isConsistent() ? "yes" : "NO"));
            if (!reasoner.isConsistent()) {
                wrong++;
                continue;
            }
            for (OWLClass empty : reasoner.getUnsatisfiableClasses().getEntitiesMinusBottom()) {
                wrong++;
                System.out.println("    nothing can be a " + empty);
            }
        }
        System.exit(wrong == 0 ? 0 : 1);
    }
}
